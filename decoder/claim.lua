-- Claim dirty windows that are due, so that no other decoder rolls them up at the same time.
-- ARGV: now, until (when the claim lapses), count; all times in milliseconds. Returns {member, devices, ...}; -1 devices
-- where what has the name of a window's set is none.
local claimed = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'windows:dirty', '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
    redis.call('ZADD', 'windows:dirty', ARGV[2], member)
    local devices = redis.pcall('SCARD', 'window:' .. member)
    claimed[#claimed + 1] = member
    claimed[#claimed + 1] = type(devices) == 'number' and devices or -1
end
return claimed
