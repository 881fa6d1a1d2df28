-- Put messages into the queue of one client.
-- ARGV: node, connection, client, name (of the call), now (ms), QUEUE_MAX_LENGTH, QUEUE_MAX_AGE (ms), then the messages.
-- Answers nil if another connection has taken over, else {dropped for length, dropped for age}.
local node, connection, client, name, now, max_length, max_age = unpack(ARGV, 1, 7)
if not has(client, node, connection) then
    return nil
end
local key = 'session:' .. client
if redis.call('HGET', key, 'enqueued') == name then
    -- It was done, and the answer was lost.
    return {0, 0}
end
for index = 8, #ARGV do
    enqueue(client, ARGV[index], tonumber(now), tonumber(max_length), tonumber(max_age))
end
wake()
redis.call('HSET', key, 'enqueued', name)
return {dropped.length, dropped.age}
