-- KEYS: the bucket. ARGV: microseconds that one event takes, the burst, the events wanted.
-- Gives 0 when they may go through, else microseconds until they may.
-- The bucket is kept as the time at which it is full again, so a bucket that is full needs no key.
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local wanted = tonumber(ARGV[3]) * interval
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
-- Never emptier than empty, even when the clock was set back.
local taken = math.min(math.max(full_at - now, 0), burst * interval)
local missing = taken + wanted - burst * interval
-- A part of a microsecond comes from rounding.
if missing >= 1 then
  return math.ceil(missing)
end
local full_again = now + taken + wanted
redis.call('SET', KEYS[1], string.format('%.3f', full_again), 'PX', math.ceil((taken + wanted) / 1000) + 1)
return 0
