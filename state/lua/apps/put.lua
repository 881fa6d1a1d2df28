-- Put a rule in the place of another. KEYS: the guard, rules, number, changes, canaries, slots. ARGV: the application, the
-- number of the rule that is replaced (0: there is none), what is there and is no rule (empty: nothing is), the new rule,
-- how many changes are kept, the most slots, the canary that goes with it (empty: none does), and the fields of a change.
-- Answers 1; 0 where another rule holds by now; -1 where all slots are taken. A number, or a slot, that is none is made
-- anew.
local current, number = current_rule(KEYS[2], ARGV[1], ARGV[3])
if number ~= tonumber(ARGV[2]) then
    return 0
end
if not string.match(redis.call('HGET', KEYS[6], ARGV[1]) or '', '^%d+$') then
    local taken = {}
    for _, slot in ipairs(redis.call('HVALS', KEYS[6])) do
        taken[tonumber(string.match(slot, '^%d+$') or 0)] = true
    end
    local slot = 1
    while taken[slot] do
        slot = slot + 1
    end
    if slot > tonumber(ARGV[6]) then
        return -1
    end
    redis.call('HSET', KEYS[6], ARGV[1], slot)
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
raise(KEYS[3])
if ARGV[7] ~= '' then
    redis.call('HSET', KEYS[5], ARGV[1], ARGV[7])
end
redis.call('XADD', KEYS[4], 'MAXLEN', ARGV[5], '*', 'before', current, unpack(ARGV, 8))
return 1
