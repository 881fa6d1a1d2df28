-- Put windows into a sorted set of their partition.
-- KEYS: guard, the set. ARGV: NX, where those that are in it stay as they are, or GT, where a later time counts; then
-- times (ms) and names.
local AT_ONCE = 1000 -- arguments of one command: Lua can pass some 8,000

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too.
redis.call('DEL', KEYS[1])
for first = 2, #ARGV, AT_ONCE do
    redis.call('ZADD', KEYS[2], ARGV[1], unpack(ARGV, first, math.min(first + AT_ONCE - 1, #ARGV)))
end
