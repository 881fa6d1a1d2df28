-- Have these faults and no others. KEYS: the guard, faults, number. ARGV: the SHA-1 of what they replace, nothing where that
-- may be anything; the faults, and milliseconds until the last of them ends, both missing where there is none.
-- Answers 1; 0, and changes nothing, where something else is there.
if ARGV[1] ~= '' and redis.sha1hex(redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then
    return 0
end
if #ARGV > 1 then
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
else
    redis.call('DEL', KEYS[2])
end
raise(KEYS[3])
return 1
