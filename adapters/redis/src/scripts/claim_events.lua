-- KEYS: since when the marks are complete, then a mark for each claim. ARGV: life of a mark in ms, then the position
-- of each claim. A mark is '=' or '?' and a position; '?' says that what was stored before may know better.
-- Gives one letter for each claim (g granted, d duplicate; G, D: the same unless the stored events say otherwise), and
-- the time in ms.
local window = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A server that started again may have lost the last marks, or all, whatever it reads from its files.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local known_run, since = string.match(redis.call('GET', KEYS[1]) or '', '^(%w*)/(%d+)$')
if known_run ~= run then
  since = now
  redis.call('SET', KEYS[1], string.format('%s/%.0f', run, now))
end
local complete = tonumber(since) + window <= now
local sign = complete and '=' or '?'
local verdicts = {}
for i = 2, #KEYS do
  local position = ARGV[i]
  local mark = redis.call('SET', KEYS[i], sign .. position, 'NX', 'GET', 'PX', ARGV[1])
  if not mark then
    verdicts[i - 1] = complete and 'g' or 'G'
  else
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
    local mine = string.sub(mark, 2) == position
    if string.byte(mark) == 61 then
      verdicts[i - 1] = mine and 'g' or 'd'
    else
      verdicts[i - 1] = mine and 'G' or 'D'
    end
  end
end
return { table.concat(verdicts), now }
