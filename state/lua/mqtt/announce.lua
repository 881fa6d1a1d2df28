-- Messages of QoS 0 that no node has published: each node gets those that somebody there has subscribed to.
-- ARGV[1]: MessagePack of {inbox_max (bytes that may wait in an inbox),
--   groups = {{{filter that is true of all topics of the group, ...},
--     {{{filter that is true of this topic and of no other of the group, ...}, {number of a message, ...}}, ...}}, ...}}
--   where numbers are those of the arguments after the first.
-- Answers how many messages an inbox had no room for, each once for each such inbox.
local about = cmsgpack.unpack(ARGV[1])
local nodes = redis.call('HGETALL', key('nodes'))
local lost, told = 0, false

local function wanted(interest, filters)
    if #filters > 0 then
        for _, is_there in ipairs(redis.call('SMISMEMBER', interest, unpack(filters))) do
            if is_there == 1 then
                return true
            end
        end
    end
    return false
end

for place = 1, #nodes, 2 do
    local node, interest = nodes[place], key('interest', nodes[place])
    local messages = {}
    if nodes[place + 1] ~= CONDEMNED then
        for _, group in ipairs(about.groups) do
            local all = wanted(interest, group[1])
            for _, topic in ipairs(group[2]) do
                if all or wanted(interest, topic[1]) then
                    for _, number in ipairs(topic[2]) do
                        messages[#messages + 1] = ARGV[number + 1]
                    end
                end
            end
        end
    end
    if #messages > 0 then
        -- MessagePack of an array of up to 65,535.
        local head = string.char(220, math.floor(#messages / 256), #messages % 256)
        if tell(node, 'm', head .. table.concat(messages), about.inbox_max) then
            told = true
        else
            lost = lost + #messages
        end
    end
end
if told then
    raise(key('carried'))
end
return lost
