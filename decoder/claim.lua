-- Claim dirty windows that are due, so that no other decoder rolls them up at the same time.
-- ARGV: now, until (when the claim lapses), count; all times in milliseconds. Returns {member, devices, ...}.
local claimed = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'windows:dirty', '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
    redis.call('ZADD', 'windows:dirty', ARGV[2], member)
    claimed[#claimed + 1] = member
    claimed[#claimed + 1] = redis.call('SCARD', 'window:' .. member)
end
return claimed
