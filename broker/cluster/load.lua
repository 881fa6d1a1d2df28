-- The next messages of a queue, which count as sent from now on. What is too old is dropped.
-- ARGV: node, connection, client, after (sequence), count, drop what was queued before (ms).
-- Answers nil if another connection has taken over, else {highest sequence sent over earlier connections, dropped,
-- {sequence, message, ...}}. Fewer than `count` messages are all that there are.
local node, connection, client, after, count, oldest = unpack(ARGV)
if not has(client, node, connection) then
    return nil
end
count, oldest = tonumber(count), tonumber(oldest)
local key, queue = 'session:' .. client, 'queue:' .. client
local from, found, aged, wanted = tonumber(after) + 1, {}, 0, count
while wanted > 0 do
    local entries = redis.call('XRANGE', queue, digits(from) .. '-0', '+', 'COUNT', wanted)
    for _, entry in ipairs(entries) do
        local sequence = string.match(entry[1], '^%d+')
        from = tonumber(sequence) + 1
        if tonumber(entry[2][4]) < oldest then
            redis.call('XDEL', queue, entry[1])
            aged = aged + 1
        else
            found[#found + 1] = sequence
            found[#found + 1] = entry[2][2]
        end
    end
    if #entries < wanted then
        break
    end
    wanted = count - #found / 2
end
local session = redis.call('HMGET', key, 'before', 'sent', 'next')
local sent = math.max(tonumber(session[2]), from - 1)
if wanted > 0 then
    -- All of them: what comes next wakes the client.
    sent = tonumber(session[3]) - 1
end
redis.call('HSET', key, 'sent', digits(sent))
return {session[1], aged, found}
