-- Put in order what is retained: a node does it when it joins. ARGV: topics, nothing on or below which is retained.
-- What an earlier version has kept there goes; it did not know whose the others are either, so those that only services
-- publish to are theirs. Sizes are counted anew.
local known = redis.call('EXISTS', 'retained:bytes') == 1
local bytes = {all = 0, anonymous = 0}
for _, topic in ipairs(redis.call('HKEYS', 'retained')) do
    local first = string.match(topic, '^[^/]*')
    local closed = false
    for _, each in ipairs(ARGV) do
        closed = closed or first == each
    end
    if closed then
        redis.call('HDEL', 'retained', topic)
        redis.call('SREM', 'retained:anonymous', topic)
    else
        if not known and first ~= 'v1' then
            redis.call('SADD', 'retained:anonymous', topic)
        end
        local size = retained_size(topic)
        bytes.all = bytes.all + size
        if redis.call('SISMEMBER', 'retained:anonymous', topic) == 1 then
            bytes.anonymous = bytes.anonymous + size
        end
    end
end
redis.call('HSET', 'retained:bytes', 'all', digits(bytes.all), 'anonymous', digits(bytes.anonymous))
