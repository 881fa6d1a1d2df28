-- Read new entries of a raw stream for a consumer, until they hold about as many messages as it wants.
-- KEYS: the guard, the raw stream. ARGV: group, consumer, messages, bytes.
-- A few entries more at a time, so that neither a few large ones are too much, nor many small ones take a call each.
local MOST_AT_ONCE = 16
local wanted, room = tonumber(ARGV[3]), tonumber(ARGV[4])
local found, at_once = {}, 1
while wanted > 0 and room > 0 do
    local count = math.min(at_once, wanted)
    local answer = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', count, 'STREAMS', KEYS[2], '>')
    local entries = answer and answer[1][2] or {}
    for _, entry in ipairs(entries) do
        found[#found + 1] = entry
        local messages = 1
        local fields = entry[2] or {}
        for index = 1, #fields, 2 do
            room = room - #fields[index + 1]
            if fields[index] == 'n' then
                messages = math.max(1, tonumber(fields[index + 1]) or 1)
            end
        end
        wanted = wanted - messages
    end
    if #entries < count then
        break
    end
    at_once = math.min(2 * at_once, MOST_AT_ONCE)
end
return found
