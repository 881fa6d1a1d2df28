-- Take a dead letter away and count that; where it is replayed, after its message is in a raw stream again, all in one.
-- KEYS: dead, totals, and the raw stream where it is replayed. ARGV: id, name of the total, fields of the raw message.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
    return 0
end
if KEYS[3] then
    redis.call('XADD', KEYS[3], '*', unpack(ARGV, 3))
end
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
return 1
