-- Replace all places. KEYS: the guard, places, number. ARGV: each place, and its number.
redis.call('DEL', KEYS[2])
if #ARGV > 0 then
    redis.call('HSET', KEYS[2], unpack(ARGV))
end
raise(KEYS[3])
