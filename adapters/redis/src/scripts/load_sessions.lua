-- KEYS: the marker, then the sessions. ARGV: the offset as of which they are wanted.
-- Gives the sessions in order, nil for what is not known; nothing at all when no session is.
local marker = redis.call('GET', KEYS[1])
if not marker or string.sub(marker, 17) ~= '@' .. ARGV[1] then
  return {}
end
local generation = string.sub(marker, 1, 16)
local values = redis.call('MGET', unpack(KEYS, 2))
local known = {}
for i = 1, #KEYS - 1 do
  local value = values[i]
  known[i] = value and string.sub(value, 1, 16) == generation and string.sub(value, 17)
end
return known
