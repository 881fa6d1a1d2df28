-- All effects of one batch of raw entries, and their acknowledgement, together (keys: core/streams.py).
-- KEYS: the raw stream, the positions stream.
-- ARGV[1]: MessagePack of {group, entries, fence, now, ttl, keep, speed,
--   devices, kinds of the devices, places = {zones joined by commas},
--   and of each position: device and place, which are numbers from 1 in those lists, at, longitude, latitude,
--   spans = {{{{beginning of a window's name, life}}, {{its end, {number of a device}}}}} (decoder/spans.py),
--   totals = {{name, increment}}, letters = {count of fields}, letters_max}
--   with times and durations in milliseconds, degrees, metres a second.
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

-- Presence and windows are maxima and unions: it does no harm that a position comes twice, or in another order.
-- The newest position of each device: first what is known of it, then with the batch's.
local newest_at, newest_lon, newest_lat, newest_zones, old_zones = {}, {}, {}, {}, {}
do
    local keys = {}
    for number, device in ipairs(batch.devices) do
        keys[number] = 'device:' .. device
    end
    local number = 0
    in_chunks(keys, function(...)
        for _, known in ipairs(redis.call('MGET', ...)) do
            number = number + 1
            local at, lon, lat, zones = -1, 0, 0, ''
            -- An array of four: what an earlier version wrote counts as nothing known, and is gone with PRESENCE_TTL.
            if known and string.byte(known) == 0x94 then
                at, lon, lat, zones = unpack(cmsgpack.unpack(known))
            end
            newest_at[number], newest_lon[number], newest_lat[number] = at, lon, lat
            newest_zones[number], old_zones[number] = zones, zones
        end
    end)
end

-- Metres between two places less than a few hundred kilometres apart (equirectangular; mean radius of the earth).
local rad, cos, sqrt, abs = math.rad, math.cos, math.sqrt, math.abs
local function distance(lon1, lat1, lon2, lat2)
    local x = rad(lon2 - lon1) * cos(rad((lat1 + lat2) / 2))
    local y = rad(lat2 - lat1)
    return 6371008.8 * sqrt(x * x + y * y)
end

local implausible, moved = {}, {}
for index, number in ipairs(batch.device) do
    local at, lon, lat = batch.at[index], batch.longitude[index], batch.latitude[index]
    local zones = batch.places[batch.place[index]]
    local before = newest_at[number]
    if before >= 0
        and distance(newest_lon[number], newest_lat[number], lon, lat) > batch.speed * abs(at - before) / 1000 then
        implausible[#implausible + 1] = index - 1
    end
    -- Of two positions of the same instant the one with the greater zones counts, whichever came first.
    if at > before or (at == before and zones > newest_zones[number]) then
        newest_at[number], newest_lon[number], newest_lat[number], newest_zones[number] = at, lon, lat, zones
        moved[number] = true
    end
end

-- Devices by kind and zones: those of the same zones come and go together.
local function list(lists, kind, zones)
    local of_kind = lists[kind] or {}
    lists[kind] = of_kind
    local found = of_kind[zones] or {}
    of_kind[zones] = found
    return found
end

local function each_presence(lists, call)
    for kind, of_kind in pairs(lists) do
        for zones, arguments in pairs(of_kind) do
            for zone in string.gmatch(zones, '[^,]+') do
                call('presence:' .. zone .. ':' .. kind, arguments)
            end
        end
    end
end

local arriving, leaving = {}, {}
for number, device in ipairs(batch.devices) do
    local at, zones, kind = newest_at[number], newest_zones[number], batch.kinds[number]
    -- What is too old for presence stays out of it.
    if moved[number] and at > batch.now - batch.ttl then
        if zones ~= old_zones[number] then
            local left = list(leaving, kind, old_zones[number])
            left[#left + 1] = device
        end
        local arrived = list(arriving, kind, zones)
        arrived[#arrived + 1] = at
        arrived[#arrived + 1] = device
        redis.call('SET', 'device:' .. device,
            cmsgpack.pack({at, newest_lon[number], newest_lat[number], zones}),
            'PX', math.max(1, at + batch.ttl - batch.now))
    end
end
-- Leaving comes first: a device that stays in a zone while it moves is in both lists.
each_presence(leaving, function(presence, devices)
    in_chunks(devices, function(...)
        redis.call('ZREM', presence, ...)
    end)
end)
each_presence(arriving, function(presence, devices)
    in_chunks(devices, function(...)
        redis.call('ZADD', presence, ...)
    end)
    redis.call('PEXPIRE', presence, batch.keep)
end)

local function count(member, life, devices)
    local added = 0
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
for _, span in ipairs(batch.spans) do
    local windows, sets = span[1], span[2]
    for _, set in ipairs(sets) do
        local devices = set[2]
        for index, number in ipairs(devices) do
            devices[index] = batch.devices[number]
        end
        for _, window in ipairs(windows) do
            count(window[1] .. set[1], window[2], devices)
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
-- Last, for it is not an effect: whatever goes wrong with it, those are there.
trim(KEYS[1])
return {acknowledged, #implausible}
