-- Delete sessions of a user who was removed. ARGV: how many clients or routes at a time.
-- Answers 1 while there may be more to do. Connections of the user are ended by their nodes, who are told as well.
local user = redis.call('SRANDMEMBER', key('users:removed'))
if not user then
    return 0
end
local limit = tonumber(ARGV[1])
local owned = key('owner', 'u:' .. user)
for _, client in ipairs(redis.call('SRANDMEMBER', owned, limit)) do
    local place = redis.call('HMGET', key('session', client), 'node', 'connection')
    if place[1] then
        tell(place[1], 'k', cmsgpack.pack({client, number(place[2])}))
    end
    forget(client)
    if #changes / 2 >= limit then
        break
    end
end
log_changes()
-- Only once nothing is left: whoever has this name next inherits nothing.
if redis.call('EXISTS', owned) == 0 then
    redis.call('SREM', key('users:removed'), user)
end
return 1
