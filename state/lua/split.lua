-- Put a message each in the place of an entry that was delivered and never finished: so what decoders die of is found.
-- KEYS: the guard, the raw stream, progress, totals. ARGV: group, entry, how many of its messages were done, then the
-- batches of one message each of the others.
-- Answers how many entries it made; nothing where that entry is not pending any more, or got further.
redis.call('HDEL', KEYS[3], '') -- it needs no memory; after it Redis lets the others through at its maxmemory
redis.call('HLEN', KEYS[4])
if #redis.call('XPENDING', KEYS[2], ARGV[1], ARGV[2], ARGV[2], 1) == 0
    or (redis.call('HGET', KEYS[3], ARGV[2]) or '0') ~= ARGV[3] then
    return 0
end
for index = 4, #ARGV do
    redis.call('XADD', KEYS[2], '*', 'n', 1, 'b', ARGV[index])
end
redis.call('XACK', KEYS[2], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
add_to_total(KEYS[4], 'split', 1)
return #ARGV - 3
