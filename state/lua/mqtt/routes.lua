-- Neither a topic nor a client id holds a null character, so it separates the two in a field of `routes`.
local NUL = '\0'
local changes = {}

-- Hold a route with `options` (state/routes.py), or none where they are false.
local function route(field, options)
    if redis.call('HGET', key('routes'), field) == options then
        return
    end
    if options then
        redis.call('HSET', key('routes'), field, options)
    else
        redis.call('HDEL', key('routes'), field)
    end
    changes[#changes + 1] = field
    changes[#changes + 1] = options or ''
end

-- The version of the routes; that of none where it cannot be read.
local function routes_version()
    local version = redis.call('GET', key('routes:version'))
    return version and string.match(version, '^%d+%-%d+$') or '0-0'
end

local LOG_LENGTH = 10000
-- Fields and values of one entry: Lua's stack holds some thousands.
local CHUNK = 1000

-- Write what `route` has changed. The second part of a version is when it was made (microseconds): where Redis has lost
-- its last changes, others with the same numbers are not taken for them.
local function log_changes()
    if #changes == 0 then
        return
    end
    local version = tonumber(string.match(routes_version(), '^%d+'))
    -- Ids of a stream go up: also where the version was lost, or somebody else has written to the log.
    local last = redis.call('XREVRANGE', key('routes:log'), '+', '-', 'COUNT', 1)[1]
    if last then
        version = math.max(version, tonumber(string.match(last[1], '^%d+')))
    end
    local time = redis.call('TIME')
    local id
    for first = 1, #changes, CHUNK do
        version = version + 1
        id = digits(version) .. '-' .. time[1] .. string.format('%06d', time[2])
        redis.call('XADD', key('routes:log'), 'MAXLEN', '~', LOG_LENGTH, id,
            unpack(changes, first, math.min(first + CHUNK - 1, #changes)))
    end
    redis.call('SET', key('routes:version'), id)
end
