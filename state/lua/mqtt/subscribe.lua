-- What a client subscribes to, and what its node wants of others for that.
-- ARGV[1]: MessagePack of {node, connection, client, subscriptions = {{filter, options}},
--   interest = {{filter, options}}, states (whether these are its first that may match states: see load.lua), limits = {sessions_user_max_bytes,
--   sessions_max_bytes}}
--   where options are those of state/routes.py, nil for no longer; client is '' where only the node's interest has changed, and subscriptions
--   are those of persistent sessions alone.
-- Answers nil if the node is gone, 0 if another connection of this client has taken over, else the filters for which
-- there was no room.
local change = cmsgpack.unpack(ARGV[1])
local node, client = change.node, change.client
if not alive(node) then
    return nil
end
if client ~= '' and not has(client, node, digits(change.connection)) then
    return 0
end
local refused = {}
if #change.subscriptions > 0 then
    local owner = redis.call('HGET', key('session', client), 'owner')
    local spent = redis.call('HMGET', key('sessions:bytes'), owner, 'all')
    local room = math.min(change.limits[1] - number(spent[1]), change.limits[2] - number(spent[2]))
    local bytes = 0
    for _, each in ipairs(change.subscriptions) do
        local filter, options = each[1], each[2] and cmsgpack.pack(each[2])
        local more = subscription_cost(client, filter)
        local is_there = redis.call('HEXISTS', key('subscriptions', client), filter) == 1
        if options and not is_there and bytes + more > room then
            refused[#refused + 1] = filter
        else
            if not options then
                bytes = bytes - (is_there and more or 0)
                redis.call('HDEL', key('subscriptions', client), filter)
            else
                bytes = bytes + (is_there and 0 or more)
                redis.call('HSET', key('subscriptions', client), filter, options)
            end
            -- Nothing of QoS 0 is queued.
            route('s:' .. client .. NUL .. filter, options and each[2][1] > 0 and options)
        end
    end
    charge(client, bytes)
    if change.states then
        -- What is retained by now comes because the client has subscribed.
        redis.call('HSET', key('session', client), 'states', redis.call('GET', key('states:version')) or '0')
    end
end
for _, each in ipairs(change.interest) do
    local filter, options = each[1], each[2] and cmsgpack.pack(each[2])
    redis.call(options and 'SADD' or 'SREM', key('interest', node), filter)
    route('n:' .. node .. NUL .. filter, options or false)
end
log_changes()
return refused
