-- A node is `<name>:<8 hex digits>`; its counter in `nodes` is this once somebody has begun to clear up after it.
local CONDEMNED = '-'

local function alive(node)
    local beats = redis.call('HGET', key('nodes'), node)
    return beats and beats ~= CONDEMNED
end

-- Put something into a node's inbox; false where `limit` bytes wait there already. A node that is gone loses nothing.
-- An entry's id is the number of bytes that were ever put there, so that the waiting ones are known without a look.
local function tell(node, field, value, limit)
    if not alive(node) then
        return true
    end
    local counts = redis.pcall('HMGET', key('node', node), 'sent', 'taken')
    if counts.err then
        -- Not a hash. To fail here would be to fail after messages are queued, and nobody would be told of them.
        set_aside(key('node', node))
        counts = {}
    end
    local taken = number(counts[2])
    local sent = math.max(number(counts[1]), taken) + #value
    if limit and sent - taken > limit then
        return false
    end
    redis.call('HSET', key('node', node), 'sent', digits(sent))
    if type(redis.pcall('XADD', key('inbox', node), digits(sent) .. '-0', field, value)) == 'table' then
        if redis.call('TYPE', key('inbox', node))['ok'] ~= 'stream' then
            set_aside(key('inbox', node))
            redis.call('XADD', key('inbox', node), digits(sent) .. '-0', field, value)
            return true
        end
        -- The counter was lost, and the inbox has gone further than it says.
        local about = redis.call('XINFO', 'STREAM', key('inbox', node))
        for index = 1, #about, 2 do
            if about[index] == 'last-generated-id' then
                sent = tonumber(string.match(about[index + 1], '^%d+')) + #value
            end
        end
        redis.call('HSET', key('node', node), 'sent', digits(sent))
        redis.call('XADD', key('inbox', node), digits(sent) .. '-0', field, value)
    end
    return true
end
