-- Append positions to the stream raw of one partition (KEYS[1]; see state/streams.py), in their order.
-- ARGV: groups of messages that share all but their payload: topic, user, role, received_at, why it was refused (empty
-- if it was not), how many, and their payloads.
-- Answers how long the stream is.
local index = 1
while index <= #ARGV do
    local topic, user, role, at, refused, count = unpack(ARGV, index, index + 5)
    local last = index + 5 + tonumber(count)
    for payload = index + 6, last do
        if refused == '' then
            redis.call('XADD', KEYS[1], '*', 't', topic, 'u', user, 'r', role, 'a', at, 'p', ARGV[payload])
        else
            redis.call('XADD', KEYS[1], '*', 't', topic, 'u', user, 'r', role, 'a', at, 'p', ARGV[payload], 'x', refused)
        end
    end
    index = last + 1
end
return redis.call('XLEN', KEYS[1])
