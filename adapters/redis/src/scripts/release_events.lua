-- KEYS: the marks of claims. ARGV: the position of each claim. Removes the marks that are theirs, and gives their number.
local removed = 0
for i = 1, #KEYS do
  if string.sub(redis.call('GET', KEYS[i]) or '', 2) == ARGV[i] then
    removed = removed + redis.call('DEL', KEYS[i])
  end
end
return removed
