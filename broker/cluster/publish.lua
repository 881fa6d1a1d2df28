-- What other nodes and persistent sessions get of a batch of messages, and what is retained of it.
-- ARGV[1]: MessagePack of {node, number (of the batch), version (of the routes that it was routed with), now (ms),
--   inbox_max (bytes), queue_max, queue_max_age (ms),
--   retained_limits (see retain.lua),
--   guards = {{client, packet id, owner, connection}}: of an inbound QoS 2 message client and packet id, of a will its
--     owner and connection; the others are empty,
--   inboxes = {{node, {{guard, blob, count of messages}}}},
--   queues = {{guard, blob, {field of `routes`, or {field, ...} of one client}}},
--   retained = {{guard, topic, blob, anonymous}}}
--   where guard is the number of a guard, or 0, and blob that of an argument after the first, or 0 for none.
-- Answers nil if the node is gone, else MessagePack of {version of the routes, of each guard 1 where the message is new
-- and 0 where it was there already, messages dropped: inboxes, queues for length, queues for age, {number in `retained`
-- of one for which there was no room, ...}}.
local batch = cmsgpack.unpack(ARGV[1])
-- A node that leaves still publishes its wills.
if redis.call('HEXISTS', 'nodes', batch.node) == 0 then
    return nil
end
local key = 'node:' .. batch.node
local last = redis.call('HMGET', key, 'batch', 'answer')
if last[1] == digits(batch.number) then
    -- It was done, and the answer was lost.
    return last[2]
end
local version = redis.call('GET', 'routes:version') or '0-0'
local stale = version ~= batch.version

local new = {[0] = true}
local marks = {}
for index, guard in ipairs(batch.guards) do
    local client, packet_id, owner, connection = unpack(guard)
    if owner ~= '' then
        new[index] = redis.call('HDEL', 'will:' .. owner, digits(connection)) == 1
    elseif redis.call('HGET', 'session:' .. client, 'clean') == '0' then
        new[index] = redis.call('SADD', 'received:' .. client, digits(packet_id)) == 1
    else
        new[index] = true
    end
    marks[index] = new[index] and '1' or '0'
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
local function wanted(fields)
    for _, field in ipairs(fields) do
        if redis.call('HEXISTS', 'routes', field) == 1 then
            return true
        end
    end
    return false
end

for _, each in ipairs(batch.queues) do
    if new[each[1]] then
        local message = ARGV[each[2] + 1]
        for _, fields in ipairs(each[3]) do
            if type(fields) == 'string' then
                fields = {fields}
            end
            if not stale or wanted(fields) then
                enqueue(string.match(fields[1], '^s:([^%z]*)'), message, batch.now, batch.queue_max,
                    batch.queue_max_age)
            end
        end
    end
end
wake()

local refused = {}
for index, each in ipairs(batch.retained) do
    local topic, blob = each[2], each[3]
    if new[each[1]] then
        if blob == 0 then
            forget_retained(topic)
        elseif not retain(topic, ARGV[blob + 1], each[4], batch.retained_limits) then
            refused[#refused + 1] = index
        end
    end
end

local answer = cmsgpack.pack({version, table.concat(marks), inbox_dropped, dropped.length, dropped.age, refused})
redis.call('HSET', key, 'batch', digits(batch.number), 'answer', answer)
return answer
