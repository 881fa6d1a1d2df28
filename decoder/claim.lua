-- Claim dirty windows that are due, so that no other decoder rolls them up at the same time.
-- ARGV: now, until (when the claim lapses), count; all times in milliseconds. Returns {member, devices, ...}; -1 devices
-- where what has the name of a window's set is none.
local AT_ONCE = 1000 -- arguments of one command: Lua can pass some 8,000
local claimed = {}
local due = redis.call('ZRANGEBYSCORE', 'windows:dirty', '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for first = 1, #due, AT_ONCE do
    local scores = {}
    for index = first, math.min(first + AT_ONCE - 1, #due) do
        scores[#scores + 1] = ARGV[2]
        scores[#scores + 1] = due[index]
        local devices = redis.pcall('SCARD', 'window:' .. due[index])
        claimed[#claimed + 1] = due[index]
        claimed[#claimed + 1] = type(devices) == 'number' and devices or -1
    end
    redis.call('ZADD', 'windows:dirty', unpack(scores))
end
return claimed
