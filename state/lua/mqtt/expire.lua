-- Delete sessions whose time is over. ARGV: now (ms), how many clients or routes at a time.
-- Answers how many sessions it has deleted.
local limit, done = tonumber(ARGV[2]), 0
for _, client in ipairs(redis.call('ZRANGEBYSCORE', key('sessions:expiry'), '-inf', ARGV[1], 'LIMIT', 0, limit)) do
    forget(client)
    done = done + 1
    if #changes / 2 >= limit then
        break
    end
end
log_changes()
return done
