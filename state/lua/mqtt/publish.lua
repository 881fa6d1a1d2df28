-- What other nodes and persistent sessions get of a batch of messages, and what is retained of it.
-- ARGV[1]: MessagePack of {node, number (of the batch), version (of the routes that it was routed with), now (ms),
--   inbox_max (bytes), queue_limits (see queue.lua),
--   retained_limits (see retain.lua),
--   guards = {{client, packet id, owner, connection}}: of an inbound QoS 2 message client and packet id, of a will its
--     owner and connection; the others are empty,
--   inboxes = {{node, {{guard, blob, count of messages}}}},
--   queues = {{guard, blob, {filter, ...}, {client, ...}, whether it is a position}}: clients that want it by these filters,
--   retained = {{guard, topic, blob, anonymous, QoS if it is a state, else 0}},
--   states = {{node, {{guard, topic}}}}: states that nodes are told of, for their persistent sessions}
--   where guard is the number of a guard, or 0, and blob that of an argument after the first, or 0 for none.
-- Answers nil if the node is gone, else MessagePack of {version of the routes, of each guard 1 where the message is new
-- and 0 where it was there already, messages dropped by inboxes, and by queues (see queue.lua), {number in `retained` of
-- one for which there was no room, ...}}.
local batch = cmsgpack.unpack(ARGV[1])
-- A node that leaves still publishes its wills.
if redis.call('HEXISTS', key('nodes'), batch.node) == 0 then
    return nil
end
local own = key('node', batch.node)
local last = redis.call('HMGET', own, 'batch', 'answer')
if last[1] == digits(batch.number) then
    -- It was done, and the answer was lost.
    return last[2]
end
local version = routes_version()
local stale = version ~= batch.version

local new = {[0] = true}
local marks = {}
for index, guard in ipairs(batch.guards) do
    local client, packet_id, owner, connection = unpack(guard)
    if owner ~= '' then
        new[index] = redis.call('HDEL', key('will', owner), digits(connection)) == 1
    elseif redis.call('HGET', key('session', client), 'clean') == '0' then
        new[index] = redis.call('SADD', key('received', client), digits(packet_id)) == 1
    else
        new[index] = true
    end
    marks[index] = new[index] and '1' or '0'
end

if batch.positions then
    raise(key('carried'))
end

local inbox_dropped = 0
for _, inbox in ipairs(batch.inboxes) do
    for _, entry in ipairs(inbox[2]) do
        if new[entry[1]] and not tell(inbox[1], 'm', ARGV[entry[2] + 1], batch.inbox_max) then
            inbox_dropped = inbox_dropped + entry[3]
        end
    end
end

-- Whoever has unsubscribed meanwhile gets nothing more [MQTT-3.10.4-2].
local function wanted(client, filters)
    for _, filter in ipairs(filters) do
        if redis.call('HEXISTS', key('routes'), 's:' .. client .. NUL .. filter) == 1 then
            return true
        end
    end
    return false
end

local at = digits(batch.now)
for _, each in ipairs(batch.queues) do
    if new[each[1]] then
        local message = ARGV[each[2] + 1]
        for _, client in ipairs(each[4]) do
            if not stale or wanted(client, each[3]) then
                enqueue(client, 'b', message, at, batch.now, batch.queue_limits, each[5])
            end
        end
    end
end
settle()
wake()

local refused = {}
for index, each in ipairs(batch.retained) do
    local topic, blob, state_qos = each[2], each[3], each[5]
    if new[each[1]] then
        local kept = true
        if blob == 0 then
            forget_retained(topic)
            kept = false
        elseif not retain(topic, ARGV[blob + 1], each[4], batch.retained_limits) then
            refused[#refused + 1] = index
            kept, state_qos = false, 0
        end
        if state_qos > 0 then
            note_state(topic, state_qos, not kept)
        elseif not kept then
            forget_state(topic)
        end
    end
end

for _, each in ipairs(batch.states) do
    local topics = {}
    for _, state in ipairs(each[2]) do
        if new[state[1]] then
            topics[#topics + 1] = state[2]
        end
    end
    if #topics > 0 then
        tell(each[1], 's', cmsgpack.pack(topics))
    end
end

local answer = cmsgpack.pack({version, table.concat(marks), inbox_dropped, losses(), refused})
redis.call('HSET', own, 'batch', digits(batch.number), 'answer', answer)
return answer
