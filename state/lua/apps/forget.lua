-- Forget the rule of an application, and all that goes with it. KEYS: the guard, rules, number, changes, canaries, slots,
-- places. ARGV: the application, the number of the rule that was read (0: there is none), what is there and is no rule
-- (empty: nothing is), how many changes are kept, and the fields of a change. Answers 1; 0 where another rule holds by now.
local current, number = current_rule(KEYS[2], ARGV[1], ARGV[3])
if number ~= tonumber(ARGV[2]) then
    return 0
end
for _, key in ipairs({KEYS[2], KEYS[5], KEYS[6]}) do
    redis.call('HDEL', key, ARGV[1])
end
local own = ARGV[1] .. '/'
for _, place in ipairs(redis.call('HKEYS', KEYS[7])) do
    if string.sub(place, 1, #own) == own then
        redis.call('HDEL', KEYS[7], place)
    end
end
raise(KEYS[3])
redis.call('XADD', KEYS[4], 'MAXLEN', ARGV[4], '*', 'before', current, unpack(ARGV, 5))
return 1
