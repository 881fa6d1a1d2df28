-- Forget windows of a partition, and have dead letters in their places.
-- KEYS: guard, dirty, claimed, dead, totals. ARGV: how many dead letters are kept, and of each window its name, the total
-- that its letter counts for, how many fields and values the letter has, and these.

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too.
redis.call('DEL', KEYS[1])
-- A key of another type shows before anything is done.
redis.call('XLEN', KEYS[4])
redis.call('ZCARD', KEYS[2])
redis.call('ZCARD', KEYS[3])
local at = 2
while at < #ARGV do
    local last = at + 2 + ARGV[at + 2]
    redis.call('XADD', KEYS[4], 'MAXLEN', ARGV[1], '*', unpack(ARGV, at + 3, last))
    add_to_total(KEYS[5], ARGV[at + 1], 1)
    redis.call('ZREM', KEYS[2], ARGV[at])
    redis.call('ZREM', KEYS[3], ARGV[at])
    at = last + 1
end
