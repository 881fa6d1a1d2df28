-- Effects of a part of a batch on presence and windows (keys: state/streams.py). All of it is maxima and unions: it does
-- no harm to do it once more. What must be done once is state/lua/finish.lua.
-- KEYS: dead, totals. ARGV[1]: MessagePack of {fence, now, ttl, keep, ahead, speed,
--   devices, first those with positions (how many: present), their second hashes (away), their kinds,
--   places = {zones joined by commas},
--   and of each position: device and place, which are numbers from 1 in those lists, at, longitude, latitude,
--   outside = {{number of a device, at}},
--   spans = {{{{beginning of a window's name, life}}, {{its end, {number of a device}}}}} (decoder/spans.py);
--   letters_max, unreadable = {fields and values of the dead letter for what cannot be read, its total}}
--   with times and durations in milliseconds, degrees, metres a second.
-- Answers nil if the campus has changed since, else how many dead letters it made of what it could not read, and which
-- positions of the part are implausible (indices from 0).
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

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too, so that what it has can
-- be worked off. And a key of another type shows now (state/key_types.py).
redis.call('HDEL', KEYS[2], '')
redis.call('XLEN', KEYS[1])

-- Presence and windows are maxima and unions: it does no harm that a position comes twice, or in another order.
-- The newest of each device: first what is known of it, then with the batch's. What is further ahead than clocks may
-- be, ours or the device's, counts as unknown: a clock that was wrong must not outlive its being set.
local latest = batch.now + batch.ahead
local newest_at, newest_lon, newest_lat, newest_zones, old_zones = {}, {}, {}, {}, {}
-- When it was last outside, and whether Redis has that.
local away_at, away_known = {}, {}
local unreadable = 0

-- What nobody of this version wrote counts as nothing known. It becomes a dead letter, without a word of it, once: it
-- is removed.
local function unpacked(key, known)
    local readable, value = pcall(cmsgpack.unpack, known)
    if readable and type(value) == 'table' and type(value[1]) == 'number' and type(value[2]) == 'number'
        and type(value[3]) == 'number' and type(value[4]) == 'string' then
        return value
    end
    unreadable = unreadable + 1
    redis.call('DEL', key)
    redis.call('XADD', KEYS[1], 'MAXLEN', batch.letters_max, '*', unpack(batch.unreadable[1]))
    add_to_total(KEYS[2], batch.unreadable[2], 1)
    return nil
end

do
    local keys, number = {}, 0
    for index, device in ipairs(batch.devices) do
        keys[index] = 'device:' .. device
    end
    in_chunks(keys, function(...)
        for _, known in ipairs(redis.call('MGET', ...)) do
            number = number + 1
            local value = known and unpacked(keys[number], known)
            old_zones[number] = value and value[4] or ''
            if value and value[1] <= latest then
                newest_at[number], newest_lon[number], newest_lat[number], newest_zones[number] = unpack(value)
            else
                newest_at[number], newest_lon[number], newest_lat[number], newest_zones[number] = -1, 0, 0, ''
            end
            away_at[number] = -1
        end
    end)
end

-- The times of who is outside lie in sixteen sorted sets, by the first digit of their names. Calls with each of them.
local function by_digit(numbers, call)
    local digits = {}
    for _, number in ipairs(numbers) do
        local digit = string.sub(batch.away[number], 1, 1)
        local some = digits[digit] or {}
        digits[digit] = some
        some[#some + 1] = number
    end
    for digit, some in pairs(digits) do
        call('away:' .. digit, some)
    end
end

-- Who is known to be inside has no time outside that is newer: that would have removed its position.
local unknown = {}
for number = 1, batch.present do
    if newest_at[number] < 0 then
        unknown[#unknown + 1] = number
    end
end
by_digit(unknown, function(key, numbers)
    local names = {}
    for index, number in ipairs(numbers) do
        names[index] = batch.away[number]
    end
    local index = 0
    in_chunks(names, function(...)
        for _, known in ipairs(redis.call('ZMSCORE', key, ...)) do
            index = index + 1
            local at = known and tonumber(known)
            if at then
                away_known[numbers[index]] = true
                away_at[numbers[index]] = at <= latest and at or -1
            end
        end
    end)
end)

-- Metres between two places less than a few hundred kilometres apart (equirectangular; mean radius of the earth).
local rad, cos, sqrt, abs = math.rad, math.cos, math.sqrt, math.abs
local function distance(lon1, lat1, lon2, lat2)
    local x = rad(lon2 - lon1) * cos(rad((lat1 + lat2) / 2))
    local y = rad(lat2 - lat1)
    return 6371008.8 * sqrt(x * x + y * y)
end

local implausible, moved, moved_out = {}, {}, {}
local ats, lons, lats, places, place = batch.at, batch.longitude, batch.latitude, batch.places, batch.place
local speed = batch.speed / 1000
for index, number in ipairs(batch.device) do
    local at, lon, lat, zones = ats[index], lons[index], lats[index], places[place[index]]
    local before = newest_at[number]
    -- A place that is too inaccurate to count anywhere says nothing of where the device is.
    local counts = zones ~= ''
    if counts and before >= 0
        and distance(newest_lon[number], newest_lat[number], lon, lat) > speed * abs(at - before) then
        implausible[#implausible + 1] = index - 1
    end
    -- Of two positions of the same instant the one with the greater zones counts, whichever came first.
    if counts and at <= latest and (at > before or (at == before and zones > newest_zones[number])) then
        newest_at[number], newest_lon[number], newest_lat[number], newest_zones[number] = at, lon, lat, zones
        moved[number] = true
    end
end
for _, seen in ipairs(batch.outside) do
    local number, at = seen[1], seen[2]
    if at <= latest and at > away_at[number] then
        away_at[number] = at
        moved_out[number] = true
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
-- Numbers of the devices of which something else is known afterwards.
local inside, outside = {}, {}
-- What is too old for presence stays out of it.
local oldest = batch.now - batch.ttl
for number, device in ipairs(batch.devices) do
    local at, away = newest_at[number], away_at[number]
    if moved_out[number] and away > at then
        outside[#outside + 1] = number
        if old_zones[number] ~= '' then
            local left = list(leaving, batch.kinds[number], old_zones[number])
            left[#left + 1] = device
        end
    elseif moved[number] and at >= away and at > oldest then
        inside[#inside + 1] = number
        local zones, kind = newest_zones[number], batch.kinds[number]
        if zones ~= old_zones[number] then
            local left = list(leaving, kind, old_zones[number])
            left[#left + 1] = device
        end
        local arrived = list(arriving, kind, zones)
        arrived[#arrived + 1] = at
        arrived[#arrived + 1] = device
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
-- What is known of the devices changes after presence has: where that fails, the next attempt finds what this one found.
local back = {}
for _, number in ipairs(inside) do
    local at = newest_at[number]
    redis.call('SET', 'device:' .. batch.devices[number],
        cmsgpack.pack({at, newest_lon[number], newest_lat[number], newest_zones[number]}),
        'PX', math.max(1, at + batch.ttl - batch.now))
    if away_known[number] then
        back[#back + 1] = number
    end
end
by_digit(back, function(key, numbers)
    for _, number in ipairs(numbers) do
        redis.call('ZREM', key, batch.away[number])
    end
end)
-- Of where they were nothing stays, of where they are nothing comes. When that was is kept under another name, so that an
-- older position which comes later does not bring them back.
local recently = {}
for _, number in ipairs(outside) do
    if old_zones[number] ~= '' then
        redis.call('DEL', 'device:' .. batch.devices[number])
    end
    if away_at[number] > oldest then
        recently[#recently + 1] = number
    end
end
by_digit(recently, function(key, numbers)
    local arguments = {}
    for _, number in ipairs(numbers) do
        arguments[#arguments + 1] = away_at[number]
        arguments[#arguments + 1] = batch.away[number]
    end
    -- A time that is further ahead than clocks may be must not be the greater one.
    redis.call('ZREMRANGEBYSCORE', key, string.format('(%.0f', latest), '+inf')
    in_chunks(arguments, function(...)
        redis.call('ZADD', key, 'GT', ...)
    end)
    redis.call('PEXPIRE', key, batch.ttl + batch.ahead)
end)

local function count(member, kept, devices)
    local added = 0
    in_chunks(devices, function(...)
        added = added + redis.call('SADD', 'window:' .. member, ...)
    end)
    if added > 0 then
        redis.call('PEXPIRE', 'window:' .. member, kept)
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

return {unreadable, implausible}
