-- All effects of one batch of raw entries, and their acknowledgement, together (keys: core/streams.py).
-- KEYS: the raw stream, the positions stream.
-- ARGV[1]: MessagePack of {group, entries = {id}, fence, now, ttl, keep, speed,
--   devices = {{device, kind, {{index, at, longitude, latitude, zones}}}}, windows = {{member, life, {number of a device}}},
--   totals = {{name, increment}}, letters = {count of fields}, letters_max}
--   with times and durations in milliseconds, degrees, metres a second, and zones joined by commas.
-- ARGV[2]: the entry for the positions stream, empty if there is none. ARGV[3...]: fields and values of dead letters.
-- Answers nil if the campus has changed since, else how many entries it acknowledged and how many it marked.
local batch = cmsgpack.unpack(ARGV[1])

local fence = redis.call('HGET', 'campus', 'version')
if fence and fence ~= batch.fence then
    return nil
end

-- Redis commands take many arguments, and Lua's stack holds some thousands: so call them with CHUNK at a time.
local CHUNK = 1000
local function in_chunks(arguments, call)
    for first = 1, #arguments, CHUNK do
        call(unpack(arguments, first, math.min(first + CHUNK - 1, #arguments)))
    end
end

-- None of the entries is pending any more: another decoder has done this batch, or we have, and the answer was lost.
local acknowledged = 0
in_chunks(batch.entries, function(...)
    acknowledged = acknowledged + redis.call('XACK', KEYS[1], batch.group, ...)
end)
if acknowledged == 0 then
    return {0, 0}
end
trim(KEYS[1])

-- Presence and windows are maxima and unions: it does no harm that a position comes twice, or in another order.
local known = {}
do
    local keys = {}
    for index, entry in ipairs(batch.devices) do
        keys[index] = 'device:' .. entry[1]
    end
    in_chunks(keys, function(...)
        for _, value in ipairs(redis.call('MGET', ...)) do
            known[#known + 1] = value
        end
    end)
end

-- Metres between two places less than a few hundred kilometres apart (equirectangular; mean radius of the earth).
local function distance(lon1, lat1, lon2, lat2)
    local x = math.rad(lon2 - lon1) * math.cos(math.rad((lat1 + lat2) / 2))
    local y = math.rad(lat2 - lat1)
    return 6371008.8 * math.sqrt(x * x + y * y)
end

local function add(lists, key, ...)
    local list = lists[key]
    if not list then
        list = {}
        lists[key] = list
    end
    for index = 1, select('#', ...) do
        list[#list + 1] = (select(index, ...))
    end
end

local implausible, arriving, leaving = {}, {}, {}
for number, entry in ipairs(batch.devices) do
    local device, kind, positions = entry[1], entry[2], entry[3]
    local at, lon, lat, old_zones = -1, 0, 0, ''
    if known[number] then
        at, lon, lat, old_zones = string.match(known[number], '^(%d+),([^,]+),([^,]+),(.*)$')
        at, lon, lat = tonumber(at), tonumber(lon), tonumber(lat)
    end
    local zones, moved = old_zones, false
    for _, new in ipairs(positions) do
        if at >= 0 and distance(lon, lat, new[3], new[4]) > batch.speed * math.abs(new[2] - at) / 1000 then
            implausible[#implausible + 1] = new[1]
        end
        -- Of two positions of the same instant the one with the greater zones counts, whichever came first.
        if new[2] > at or (new[2] == at and new[5] > zones) then
            at, lon, lat, zones, moved = new[2], new[3], new[4], new[5], true
        end
    end
    -- What is too old for presence stays out of it.
    if moved and at > batch.now - batch.ttl then
        if zones ~= old_zones then
            for zone in string.gmatch(old_zones, '[^,]+') do
                add(leaving, 'presence:' .. zone .. ':' .. kind, device)
            end
        end
        for zone in string.gmatch(zones, '[^,]+') do
            add(arriving, 'presence:' .. zone .. ':' .. kind, at, device)
        end
        redis.call('SET', 'device:' .. device, string.format('%.0f,%.17g,%.17g,%s', at, lon, lat, zones),
            'PX', math.max(1, at + batch.ttl - batch.now))
    end
end
-- Leaving comes first: a device that stays in a zone while it moves is in both lists.
for presence, devices in pairs(leaving) do
    in_chunks(devices, function(...)
        redis.call('ZREM', presence, ...)
    end)
end
for presence, devices in pairs(arriving) do
    in_chunks(devices, function(...)
        redis.call('ZADD', presence, ...)
    end)
    redis.call('PEXPIRE', presence, batch.keep)
end

for _, entry in ipairs(batch.windows) do
    local member, life, devices = entry[1], entry[2], entry[3]
    local added = 0
    for index, number in ipairs(devices) do
        devices[index] = batch.devices[number][1]
    end
    in_chunks(devices, function(...)
        added = added + redis.call('SADD', 'window:' .. member, ...)
    end)
    if added > 0 then
        redis.call('PEXPIRE', 'window:' .. member, life)
        local due = tonumber(redis.call('ZSCORE', 'windows:dirty', member) or '-1')
        if due < 0 then
            redis.call('ZADD', 'windows:dirty', batch.now, member)
        elseif due > batch.now then
            -- Somebody is rolling it up: this tells them that it has changed since.
            redis.call('ZADD', 'windows:dirty', string.format('%.0f', due + 1), member)
        end
    end
end

if #implausible > 0 then
    redis.call('XADD', KEYS[2], '*', 'd', ARGV[2], 'i', table.concat(implausible, ','))
elseif #ARGV[2] > 0 then
    redis.call('XADD', KEYS[2], '*', 'd', ARGV[2])
end

local next_field = 3
for _, count in ipairs(batch.letters) do
    local last = next_field + count - 1
    redis.call('XADD', 'dead', 'MAXLEN', batch.letters_max, '*', unpack(ARGV, next_field, last))
    next_field = last + 1
end

for _, total in ipairs(batch.totals) do
    redis.call('HINCRBY', 'totals', total[1], total[2])
end
return {acknowledged, #implausible}
