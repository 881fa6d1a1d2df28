-- Put a dead letter in the place of a stream entry, unless it is not pending any more (keys: state/streams.py).
-- KEYS: the stream, dead, totals. ARGV: group, entry, dead letters to keep, name of the total, then the letter's fields.
redis.call('XLEN', KEYS[2]) -- a key of another type shows before anything is acknowledged
redis.call('HLEN', KEYS[3])
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then
    return 0
end
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[3], '*', unpack(ARGV, 5))
add_to_total(KEYS[3], ARGV[4], 1)
trim(KEYS[1])
return 1
