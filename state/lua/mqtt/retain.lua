-- What is retained (keys: state/retained.py). It is put before the scripts that change it.

-- Bytes of one retained message; 0 where there is none.
local function retained_size(topic)
    local size = redis.call('HSTRLEN', key('retained'), topic)
    return size > 0 and size + #topic or 0
end

local function forget_retained(topic)
    local size = retained_size(topic)
    if size == 0 then
        return
    end
    redis.call('HDEL', key('retained'), topic)
    add_number(key('retained:bytes'), 'all', -size)
    if redis.call('SREM', key('retained:anonymous'), topic) == 1 then
        add_number(key('retained:bytes'), 'anonymous', -size)
    end
end

-- Retain a message, whether an anonymous client's or another's; false where there is no room. What was retained before
-- is gone then, too: none is better than one that holds no more.
-- `limits`: retained_max, retained_max_bytes, anonymous_max, anonymous_max_bytes.
local function retain(topic, message, anonymous, limits)
    forget_retained(topic)
    local size = #message + #topic
    local bytes = redis.call('HMGET', key('retained:bytes'), 'all', 'anonymous')
    if redis.call('HLEN', key('retained')) >= limits[1] or number(bytes[1]) + size > limits[2] then
        return false
    end
    if anonymous then
        if redis.call('SCARD', key('retained:anonymous')) >= limits[3] or number(bytes[2]) + size > limits[4] then
            return false
        end
        redis.call('SADD', key('retained:anonymous'), topic)
        add_number(key('retained:bytes'), 'anonymous', size)
    end
    redis.call('HSET', key('retained'), topic, message)
    add_number(key('retained:bytes'), 'all', size)
    return true
end

-- States that were cleared, and that sessions still hear of.
local GONE = 1000

-- Nobody hears of a topic by `states` any more.
local function forget_state(topic)
    redis.call('ZREM', key('states'), topic)
    redis.call('ZREM', key('states:gone'), topic)
    redis.call('HDEL', key('states:qos'), topic)
end

-- A state of this QoS was retained, or was cleared where `gone`.
local function note_state(topic, qos, gone)
    local version = redis.pcall('INCR', key('states:version'))
    if type(version) == 'table' then
        -- No number: it goes on above the highest that there is.
        version = math.floor(number(redis.call('ZREVRANGE', key('states'), 0, 0, 'WITHSCORES')[2])) + 1
        redis.call('SET', key('states:version'), digits(version))
    end
    redis.call('ZADD', key('states'), digits(version), topic)
    redis.call('HSET', key('states:qos'), topic, qos)
    if not gone then
        redis.call('ZREM', key('states:gone'), topic)
    else
        redis.call('ZADD', key('states:gone'), version, topic)
        if redis.call('ZCARD', key('states:gone')) > GONE then
            forget_state(redis.call('ZRANGE', key('states:gone'), 0, 0)[1])
        end
    end
end
