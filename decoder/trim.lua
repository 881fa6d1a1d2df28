-- Cut off all entries of a stream that every one of its groups has acknowledged; never one that is still pending.
local function before(a, b)
    return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

local function parsed(id)
    local milliseconds, sequence = string.match(id, '(%d+)-(%d+)')
    return {tonumber(milliseconds), tonumber(sequence)}
end

local function trim(stream)
    local done
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
        local info = {}
        for index = 1, #group, 2 do
            info[group[index]] = group[index + 1]
        end
        local first = parsed(info['last-delivered-id'])
        first[2] = first[2] + 1
        if info.pending > 0 then
            local pending = parsed(redis.call('XPENDING', stream, info.name)[2])
            if before(pending, first) then
                first = pending
            end
        end
        if not done or before(first, done) then
            done = first
        end
    end
    if done then
        redis.call('XTRIM', stream, 'MINID', string.format('%.0f-%.0f', done[1], done[2]))
    end
end
