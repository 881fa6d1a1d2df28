-- Take a dead letter away and count that; where it is replayed, after its message is in the raw stream again, all in one.
-- KEYS: the guard, dead, totals, and the raw stream where it is replayed. ARGV: id, name of the total, the batch of its
-- message (state/entries.py).
if #redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1]) == 0 then
    return 0
end
if KEYS[4] then
    redis.call('XADD', KEYS[4], '*', 'n', 1, 'b', ARGV[3])
    add_to_total(KEYS[3], 'accepted', 1)
end
redis.call('XDEL', KEYS[2], ARGV[1])
add_to_total(KEYS[3], ARGV[2], 1)
return 1
