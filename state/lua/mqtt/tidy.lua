-- Put in order what is retained: a node does it when it joins. ARGV: topics, nothing on or below which is retained.
-- What an earlier version has kept there goes; it did not know whose the others are either, so those that only services
-- publish to are theirs. Sizes are counted anew.
local known = redis.call('EXISTS', key('retained:bytes')) == 1
local bytes = {all = 0, anonymous = 0}
local anonymous = {}
for _, topic in ipairs(redis.call('SMEMBERS', key('retained:anonymous'))) do
    anonymous[topic] = true
end
for _, topic in ipairs(redis.call('HKEYS', key('retained'))) do
    local first = string.match(topic, '^[^/]*')
    local closed = false
    for _, each in ipairs(ARGV) do
        closed = closed or first == each
    end
    if closed then
        redis.call('HDEL', key('retained'), topic)
        redis.call('SREM', key('retained:anonymous'), topic)
    else
        if not known and first ~= 'v1' then
            redis.call('SADD', key('retained:anonymous'), topic)
            anonymous[topic] = true
        end
        local size = retained_size(topic)
        bytes.all = bytes.all + size
        if anonymous[topic] then
            bytes.anonymous = bytes.anonymous + size
        end
    end
end
redis.call('HSET', key('retained:bytes'), 'all', digits(bytes.all), 'anonymous', digits(bytes.anonymous))
