-- All effects of one batch of raw entries, and their acknowledgement, together (keys: core/streams.py).
-- KEYS: the raw stream, the positions stream.
-- ARGV[1]: MessagePack of {group, entries = {id}, fence, now, ttl, keep, speed,
--   devices = {{device, kind, {{index, at, longitude, latitude, zones}}}}, windows = {{member, life, devices}},
--   totals = {{name, increment}}, letters = {count of fields}, letters_max}
--   with times and durations in milliseconds, degrees, metres a second, and zones joined by commas.
-- ARGV[2]: the entry for the positions stream, empty if there is none. ARGV[3...]: fields and values of dead letters.
-- Answers nil if the campus has changed since, else how many entries it acknowledged and how many it marked.
local batch = cmsgpack.unpack(ARGV[1])

local fence = redis.call('HGET', 'campus', 'version')
if fence and fence ~= batch.fence then
    return nil
end

-- None of the entries is pending any more: another decoder has done this batch, or we have, and the answer was lost.
local acknowledged = 0
for first = 1, #batch.entries, 1000 do
    local last = math.min(first + 999, #batch.entries)
    acknowledged = acknowledged + redis.call('XACK', KEYS[1], batch.group, unpack(batch.entries, first, last))
end
if acknowledged == 0 then
    return {0, 0}
end

-- Presence and windows are maxima and unions: it does no harm that a position comes twice, or in another order.
local function each(zones, visit)
    for zone in string.gmatch(zones, '[^,]+') do
        visit(zone)
    end
end

-- Metres between two places less than a few hundred kilometres apart (equirectangular; mean radius of the earth).
local function distance(lon1, lat1, lon2, lat2)
    local x = math.rad(lon2 - lon1) * math.cos(math.rad((lat1 + lat2) / 2))
    local y = math.rad(lat2 - lat1)
    return 6371008.8 * math.sqrt(x * x + y * y)
end

local implausible = {}
for _, entry in ipairs(batch.devices) do
    local device, kind, positions = entry[1], entry[2], entry[3]
    local key = 'device:' .. device
    local old = redis.call('HMGET', key, 'at', 'zones', 'lon', 'lat')
    local at, zones, lon, lat = tonumber(old[1] or '-1'), old[2] or '', tonumber(old[3] or '0'), tonumber(old[4] or '0')
    local moved = false
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
        each(old[2] or '', function(zone)
            redis.call('ZREM', 'presence:' .. zone .. ':' .. kind, device)
        end)
        each(zones, function(zone)
            local presence = 'presence:' .. zone .. ':' .. kind
            redis.call('ZADD', presence, at, device)
            redis.call('PEXPIRE', presence, batch.keep)
        end)
        redis.call('HSET', key, 'at', string.format('%.0f', at), 'zones', zones,
            'lon', string.format('%.17g', lon), 'lat', string.format('%.17g', lat))
        redis.call('PEXPIRE', key, math.max(1, at + batch.ttl - batch.now))
    end
end

for _, entry in ipairs(batch.windows) do
    local member, life, devices = entry[1], entry[2], entry[3]
    local key = 'window:' .. member
    local added = 0
    for _, device in ipairs(devices) do
        added = added + redis.call('SADD', key, device)
    end
    if added > 0 then
        redis.call('PEXPIRE', key, life)
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
