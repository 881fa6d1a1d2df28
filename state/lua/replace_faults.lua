-- Have these faults and no others. KEYS: the guard, faults, number. ARGV: the faults, and milliseconds until the last of
-- them ends; nothing where there is none.
if #ARGV > 0 then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
else
    redis.call('DEL', KEYS[2])
end
raise(KEYS[3])
