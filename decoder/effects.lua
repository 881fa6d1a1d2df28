-- All effects of one batch of raw entries, and their acknowledgement, together (keys: core/streams.py).
-- KEYS: the raw stream, the positions stream.
-- ARGV[1]: MessagePack of {group, entries = {id}, now, ttl, keep, devices = {{device, kind, at, zones}},
--   windows = {{member, life, devices}}, totals = {{name, increment}}, letters = {count of fields}, letters_max}
--   with times and durations in milliseconds and zones joined by commas.
-- ARGV[2]: the entry for the positions stream, empty if there is none. ARGV[3...]: fields and values of dead letters.
local batch = cmsgpack.unpack(ARGV[1])

-- None of the entries is pending any more: another decoder has done this batch, or we have, and the answer was lost.
local acknowledged = 0
for _, id in ipairs(batch.entries) do
    acknowledged = acknowledged + redis.call('XACK', KEYS[1], batch.group, id)
end
if acknowledged == 0 then
    return 0
end

-- Presence and windows are maxima and unions: it does no harm that a position comes twice, or in another order.
local function each(zones, visit)
    for zone in string.gmatch(zones, '[^,]+') do
        visit(zone)
    end
end

for _, entry in ipairs(batch.devices) do
    local device, kind, at, zones = entry[1], entry[2], entry[3], entry[4]
    local key = 'device:' .. device
    local old = redis.call('HMGET', key, 'at', 'zones')
    local old_at = tonumber(old[1] or '-1')
    -- Of two positions of the same instant the one with the greater zones counts, whichever came first.
    if at > old_at or (at == old_at and zones > old[2]) then
        if old[2] then
            each(old[2], function(zone)
                redis.call('ZREM', 'presence:' .. zone .. ':' .. kind, device)
            end)
        end
        each(zones, function(zone)
            local presence = 'presence:' .. zone .. ':' .. kind
            redis.call('ZADD', presence, at, device)
            redis.call('PEXPIRE', presence, batch.keep)
        end)
        redis.call('HSET', key, 'at', string.format('%.0f', at), 'zones', zones)
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

if #ARGV[2] > 0 then
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
return acknowledged
