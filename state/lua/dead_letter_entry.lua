-- Put a dead letter in the place of a stream entry, unless it is not pending any more.
-- KEYS: the guard, the stream, dead, totals; of a raw stream also progress. ARGV: group, entry, dead letters to keep, name
-- of the total, for how many messages the entry was counted, then the letter's fields.
redis.call('XLEN', KEYS[3]) -- a key of another type shows before anything is acknowledged
redis.call('HLEN', KEYS[4])
local done = KEYS[5] and redis.call('HGET', KEYS[5], ARGV[2])
if redis.call('XACK', KEYS[2], ARGV[1], ARGV[2]) == 0 then
    return 0
end
redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[3], '*', unpack(ARGV, 6))
add_to_total(KEYS[4], ARGV[4], 1)
local finished = tonumber(ARGV[5]) - (tonumber(done) or 0)
if finished > 0 then
    add_to_total(KEYS[4], 'finished', finished)
end
if done then
    redis.call('HDEL', KEYS[5], ARGV[2])
end
trim(KEYS[2])
if KEYS[5] and redis.call('XLEN', KEYS[2]) == 0 then
    nothing_waits(KEYS[5], KEYS[4])
end
return 1
