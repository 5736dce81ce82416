-- KEYS: the marker, then the sessions of this part. ARGV: token of the save, first offset, next offset, life of a
-- session and of the marker in ms, part ('first', 'middle', 'last' or 'only'), then a value for each session.
-- Gives 1, or 0 when somebody else saved since the first part.
local token, part = ARGV[1], ARGV[6]
local starts = part == 'first' or part == 'only'
local ends = part == 'last' or part == 'only'
local marker = redis.call('GET', KEYS[1])
local generation = token
if starts then
  if marker and string.sub(marker, 17) == '@' .. ARGV[2] then
    generation = string.sub(marker, 1, 16)
  end
else
  if not marker or string.sub(marker, 17) ~= '!' .. token then
    return 0
  end
  generation = string.sub(marker, 1, 16)
end
-- Whatever happens from here on, nothing of this generation is believed before the last part is in.
redis.call('SET', KEYS[1], generation .. '!' .. token, 'PX', ARGV[5])
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], generation .. ARGV[i + 5], 'PX', ARGV[4])
end
if ends then
  redis.call('SET', KEYS[1], generation .. '@' .. ARGV[3], 'PX', ARGV[5])
end
return 1
