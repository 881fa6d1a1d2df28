-- Tell the released counts of a slot, with the walks and the windows that go with them: all of it or nothing.
-- KEYS: guard, what is released, the walks, windows that wait for the store. ARGV: the slot that they follow (ms, empty
-- for none), the slot (ms), the version of the campus, the walks, how many windows may wait, how many of the next arguments
-- are windows, these (names and values, the most wanted first), and names and values of counts that are not 0.
-- Answers 1; 0 where another slot was told meanwhile.
if (redis.call('HGET', KEYS[2], 'at') or '') ~= ARGV[1] then
    return 0
end
-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[3], ARGV[4])
local room, windows = tonumber(ARGV[5]) - redis.call('HLEN', KEYS[4]), tonumber(ARGV[6])
for index = 7, 6 + math.min(windows, 2 * math.max(room, 0)), 2 do
    redis.call('HSET', KEYS[4], ARGV[index], ARGV[index + 1])
end
redis.call('DEL', KEYS[2])
for index = 7 + windows, #ARGV, 2 do
    redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 1])
end
redis.call('HSET', KEYS[2], 'version', ARGV[3], 'at', ARGV[2])
return 1
