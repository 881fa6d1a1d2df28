-- What a part of a batch does to a partition. To do it again, or in another order, comes to the same.
-- KEYS: guard, fence, dirty, touched, touched:at, lives, dead, totals, the sixteen `away` by their digits; then the
--   `life` of each day, `newest` of each device, `seen` of each device and day, presence sets, hashes of counters.
-- ARGV[1]: MessagePack of {number = of the campus that it was fenced with, now, ttl, keep, ahead, speed,
--   settling = {fixes, keep, fence} (state/devices.py), or nothing where each position is sure, most = how many fixes of
--     devices may be gone through where there are several devices,
--   lives = {how long each of these days is to live},
--   devices, first those with positions (how many: present), their second hashes (away: sixteen digits each, one after
--   the other), their kinds, as numbers of kind_names,
--   seen = {the day of each of these KEYS}, names = {of each presence set, `zone:kind`},
--   places = {{zones joined by commas, {zones}}},
--   and of each position: device, place, at, at in digits (score), longitude, latitude, margins = 0 where it is sure, -1
--     where it is no evidence, else {number of edges, margin, number, margin...}; no margins where all are sure,
--   edges = {zones},
--   outside = {{device, at}},
--   windows = {{counters}, {field}, {name}, {due}, {day}},
--   sites = {{place, minute since 1970, end of the field of `seen`, five minutes, bit of the minute, 0 if its date is in
--     another day, 2 if all that the field holds has this date, else 1, {for each zone its windows of 1m, 5m, 1h, 1d}}},
--   sightings = {{device}, {number of `seen`}, {the same of its date}, {site}}, each once;
--   letters_max, unreadable = {fields and values of the dead letter for what cannot be read, its total}}.
--   What is a number of something else counts from 1. Times are in milliseconds, places in degrees, metres a second.
-- Answers {0, how many dead letters it made of what it could not read, {implausible positions, from 0}, how many fixes of
-- devices it went through}, or having done nothing: {1, number of the fence}, for the campus has changed since; {2, number of the fence}, for the partition
-- has not heard of the change; {3, {names of presence sets that are needed besides}}; {4, number of devices for which it went through `most` fixes}.
local batch = cmsgpack.unpack(ARGV[1])
local FENCE, DIRTY, TOUCHED, TOUCHED_AT, LIVES, DEAD, TOTALS = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local AWAY = 8
local LIFE = AWAY + 16
local NEWEST = LIFE + #batch.lives
local SEEN = NEWEST + #batch.devices
local PRESENCE = SEEN + #batch.seen
local COUNTS = PRESENCE + #batch.names
local byte, char, find, floor, rep, sub = string.byte, string.char, string.find, math.floor, string.rep, string.sub

local fence = tonumber(redis.call('HGET', FENCE, 'number') or '0') or 0
if fence ~= batch.number then
    return {fence > batch.number and 1 or 2, fence}
end

-- Redis commands take many arguments, and Lua's stack holds some thousands: so call them with CHUNK at a time.
local CHUNK = 1000
local function in_chunks(arguments, call)
    for first = 1, #arguments, CHUNK do
        call(unpack(arguments, first, math.min(first + CHUNK - 1, #arguments)))
    end
end

-- The newest of each device: first what is known of it, then with the batch's. What is further ahead than clocks may
-- be, ours or the device's, counts as unknown: a clock that was wrong must not outlive its being set.
local latest = batch.now + batch.ahead
local settling = batch.settling
local FIXES, KEEP, FENCE_OF = unpack(settling or {1, 1})
local old_at, old_zones, newest_at, newest_lon, newest_lat, newest_zones, newest_index = {}, {}, {}, {}, {}, {}, {}
-- Where it is settled, and what that follows from; of lists where they begin in which texts, and what they are then.
local old_settled, anchor_at, anchor_zones, list_at, texts, lists = {}, {}, {}, {}, {}, {}
-- When it was last outside, and whether Redis has that.
local away_at, away_known = {}, {}
local unreadable = {}
do
    local number, end_of = 0, NEWEST + #batch.devices
    for first = NEWEST + 1, end_of, CHUNK do
        for _, known in ipairs(redis.call('MGET', unpack(KEYS, first, math.min(first + CHUNK - 1, end_of)))) do
            number = number + 1
            local at, anchor = -1, -1
            old_zones[number], newest_zones[number], old_settled[number], anchor_zones[number] = '', '', '', ''
            away_at[number] = -1
            if known then
                local known_at, lon, lat, zones, settled, of_anchor, zones_of_anchor, list = settle.read(known, FENCE_OF)
                if known_at then
                    old_at[number], old_zones[number], old_settled[number] = known_at, zones, settled
                    if known_at <= latest then
                        at, newest_lon[number], newest_lat[number], newest_zones[number] = known_at, lon, lat, zones
                        anchor, anchor_zones[number] = of_anchor, zones_of_anchor
                        if list then
                            list_at[number], texts[number] = list, known
                        end
                    end
                else
                    unreadable[#unreadable + 1] = number
                end
            end
            newest_at[number], anchor_at[number] = at, anchor
        end
    end
end

local function away_of(number)
    return sub(batch.away, 16 * number - 15, 16 * number)
end

-- Calls with each of the sets of times outside, and those devices whose times it has.
local function by_digit(numbers, call)
    local digits = {}
    for _, number in ipairs(numbers) do
        local digit = tonumber(sub(batch.away, 16 * number - 15, 16 * number - 15), 16)
        local some = digits[digit] or {}
        digits[digit] = some
        some[#some + 1] = number
    end
    for digit, some in pairs(digits) do
        call(KEYS[AWAY + 1 + digit], some)
    end
end

-- Who has an anchor has no time outside that is newer: that would have removed it.
local unknown = {}
for number = 1, batch.present do
    if anchor_at[number] < 0 then
        unknown[#unknown + 1] = number
    end
end
by_digit(unknown, function(key, numbers)
    local names = {}
    for index, number in ipairs(numbers) do
        names[index] = away_of(number)
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

-- Metres between two places less than a few hundred kilometres apart (equirectangular; mean radius of the earth), and
-- what is never less than that: a degree is at most 111,200 metres.
local rad, cos, sqrt = math.rad, math.cos, math.sqrt
local function at_most(lon1, lat1, lon2, lat2)
    local x, y = lon2 - lon1, lat2 - lat1
    return 111200 * ((x < 0 and -x or x) + (y < 0 and -y or y))
end
local function distance(lon1, lat1, lon2, lat2)
    local x = rad(lon2 - lon1) * cos(rad((lat1 + lat2) / 2))
    local y = rad(lat2 - lat1)
    return 6371008.8 * sqrt(x * x + y * y)
end

-- What is too old for presence stays out of it.
local oldest = batch.now - batch.ttl
-- Fixes for lists, and whose anchor or list is another one.
local implausible, moved_out, more, changed = {}, {}, {}, {}
do
    local ats, lons, lats, places, place = batch.at, batch.longitude, batch.latitude, batch.places, batch.place
    local speed, all_margins = batch.speed / 1000, batch.margins
    for index, number in ipairs(batch.device) do
        local at, lon, lat, zones = ats[index], lons[index], lats[index], places[place[index]][1]
        local before = newest_at[number]
        -- A place that is too inaccurate to count anywhere says nothing of where the device is.
        if zones ~= '' then
            if before >= 0 then
                local lon1, lat1, allowed = newest_lon[number], newest_lat[number], speed * (at - before)
                allowed = allowed < 0 and -allowed or allowed
                if at_most(lon1, lat1, lon, lat) > allowed and distance(lon1, lat1, lon, lat) > allowed then
                    implausible[#implausible + 1] = index - 1
                end
            end
            -- Of two positions of the same instant the one with the greater zones counts, whichever came first.
            if at <= latest and (at > before or (at == before and zones > newest_zones[number])) then
                newest_at[number], newest_lon[number], newest_lat[number], newest_zones[number] = at, lon, lat, zones
                newest_index[number] = index
            end
            local anchor, margins = anchor_at[number], all_margins and all_margins[index] or 0
            if at <= latest and at >= anchor and at > oldest then
                if margins == 0 then
                    if at > anchor or zones > anchor_zones[number] then
                        anchor_at[number], anchor_zones[number], changed[number] = at, zones, true
                    end
                elseif margins ~= -1 and at > anchor then
                    local fixes = more[number] or {}
                    more[number] = fixes
                    fixes[#fixes + 1] = {at, margins}
                end
            end
        end
    end
    for _, seen in ipairs(batch.outside) do
        local number, at = seen[1], seen[2]
        if at <= latest and at > away_at[number] then
            away_at[number] = at
            moved_out[number] = true
        end
    end
end

-- Where it is settled now. A time outside cuts off what was before it.
local settled = {}
local LIMITS = {FIXES, KEEP, batch.ttl, oldest}
local function settle_anew(number, text)
    local at, away, fixes = newest_at[number], away_at[number], more[number]
    local list = text and settle.opened(text, list_at[number])
    if fixes or list and (changed[number] or moved_out[number]) then
        local other, forgotten
        list, other, forgotten = settle.merged(list, fixes or {}, batch.edges, anchor_at[number], away, LIMITS)
        changed[number] = changed[number] or other
        if forgotten then
            anchor_at[number], anchor_zones[number] = -1, ''
        end
    end
    local campus = string.match(newest_zones[number], '^[^,]+')
    local zones = settle.zones(list, at, anchor_at[number], anchor_zones[number], campus, KEEP, batch.ttl)
    settled[number] = (changed[number] or newest_index[number]) and zones or nil
    lists[number] = list
end
for number = 1, #batch.devices do
    local at, away = newest_at[number], away_at[number]
    if at >= 0 and at >= away then
        if anchor_at[number] >= 0 and anchor_at[number] < away then
            anchor_at[number], anchor_zones[number], changed[number] = -1, '', true
        end
        if texts[number] then
            if not pcall(settle_anew, number, texts[number]) then
                unreadable[#unreadable + 1] = number
                changed[number] = true
                settle_anew(number)
            end
        elseif more[number] or changed[number] or newest_index[number] then
            settle_anew(number)
        end
        if settle.passed > batch.most and number < #batch.devices then
            return {4, number}
        end
    end
end

-- Who leaves presence sets, and who arrives in them with its time: known by kind and zones, for those of the same zones
-- go together. Sets that the batch does not name are needed.
local set_of = {}
for index, name in ipairs(batch.names) do
    set_of[name] = index
end
local needed, is_needed, leaving, left_by, arriving, arrived_by = {}, {}, {}, {}, {}, {}
-- Who leaves zones or arrives in them, as a list of its own for these.
local function together(all, by_kind, kind, zones)
    local of_kind = by_kind[kind] or {}
    by_kind[kind] = of_kind
    local found = of_kind[zones]
    if not found then
        found = {}
        of_kind[zones] = found
        local sets = {}
        for zone in string.gmatch(zones, '[^,]+') do
            local name = zone .. ':' .. batch.kind_names[kind]
            if set_of[name] then
                sets[#sets + 1] = set_of[name]
            elseif not is_needed[name] then
                is_needed[name] = true
                needed[#needed + 1] = name
            end
        end
        all[#all + 1] = {sets, found}
    end
    return found
end

-- Numbers of the devices of which something else is known afterwards; those outside now, and those that were between.
local inside, outside, crossed = {}, {}, {}
do
    local kinds, score = batch.kinds, batch.score
    for number, device in ipairs(batch.devices) do
        local at, away, zones, index = newest_at[number], away_at[number], old_settled[number], newest_index[number]
        local leaves = false
        if moved_out[number] and away > at then
            outside[#outside + 1] = number
            leaves = zones ~= ''
        elseif settled[number] and at > oldest then
            inside[#inside + 1] = number
            leaves = zones ~= '' and zones ~= settled[number]
            local list = together(arriving, arrived_by, kinds[number], settled[number])
            local count = #list
            list[count + 1], list[count + 2] = index and score[index] or string.format('%.0f', at), device
        end
        if moved_out[number] and away <= at and anchor_at[number] < away then
            crossed[#crossed + 1] = number
        end
        if leaves then
            local list = together(leaving, left_by, kinds[number], zones)
            list[#list + 1] = device
        end
    end
end
if #needed > 0 then
    return {3, needed}
end

-- What the sightings add to windows. A device whose newest position was in the same minute and zones is counted there:
-- that is written last.
local windows, sites = batch.windows, batch.sites
local raised, order = {}, {}
local function raise(window)
    local count = raised[window]
    if count then
        raised[window] = count + 1
    else
        raised[window] = 1
        order[#order + 1] = window
    end
end

-- By number: a byte is soon looked up.
local bytes = {}
for number = 0, 31 do
    bytes[number] = char(number)
end

-- With a minute added to the minutes of a sixth of a day: what they are then, whether it is the first in its five
-- minutes, and in its hour; nothing where it is there already.
local function with_minute(minutes, five, bit)
    if not minutes or #minutes < 2 then
        return char(five, bit), true, true
    end
    local first, count = byte(minutes), #minutes - 1
    local at = five - first
    if at >= 0 and at < count then
        local known = byte(minutes, at + 2)
        if known > 0 then
            if floor(known / bit) % 2 == 1 then
                return nil
            end
            local now = sub(minutes, 1, at + 1) .. char(known + bit)
            return at == count - 1 and now or now .. sub(minutes, at + 3), false, false
        end
    end
    local hour = five - five % 12 - first
    local other = find(minutes, '[^%z]', math.max(hour, 0) + 2)
    local is_first = not other or other > math.min(hour + 11, count - 1) + 2
    if at < 0 then
        return char(five, bit) .. rep('\0', -at - 1) .. sub(minutes, 2), true, is_first
    elseif at >= count then
        return (at > count and minutes .. rep('\0', at - count) or minutes) .. bytes[bit], true, is_first
    end
    return sub(minutes, 1, at + 1) .. char(bit) .. sub(minutes, at + 3), true, is_first
end

-- By number of `seen`: fields and values that are to be written, one after the other; where there are several sightings
-- in one, also as a map, for they build on one another.
local written, written_order, as_map = {}, {}, {}
local function map_of(seen)
    local fields = written[seen]
    if fields and not as_map[seen] then
        local map = {}
        for index = 1, #fields, 2 do
            map[fields[index]] = fields[index + 1]
        end
        as_map[seen] = map
    end
    return as_map[seen]
end
local function write(seen, field, value)
    local fields = written[seen]
    if not fields then
        fields = {}
        written[seen] = fields
        written_order[#written_order + 1] = seen
    end
    local count = #fields
    fields[count + 1], fields[count + 2] = field, value
    if as_map[seen] then
        as_map[seen][field] = value
    end
end

local function see(site, seen, seen_of_date)
    local zones, of_site, fields = batch.places[site[1]][2], site[7], site.fields
    if not fields then
        fields = {}
        for index, zone in ipairs(zones) do
            fields[index] = zone .. site[3]
        end
        if site[6] == 1 then
            for index, zone in ipairs(zones) do
                fields[#zones + index] = zone
            end
        end
        site.fields = fields
    end
    local just, just_of_date = map_of(seen), map_of(seen_of_date)
    local known = redis.call('HMGET', KEYS[SEEN + seen], unpack(fields))
    local dates, first_date = known, #zones
    if site[6] == 0 then
        dates, first_date = redis.call('HMGET', KEYS[SEEN + seen_of_date], unpack(zones)), 0
    elseif site[6] == 2 then
        -- Whoever has minutes of this date is counted in its day.
        first_date = 0
        for index = 1, #zones do
            if not known[index] then
                dates = redis.call('HMGET', KEYS[SEEN + seen], unpack(zones))
                break
            end
        end
    end
    for index = 1, #zones do
        local field, window = fields[index], 4 * index - 3
        local minutes, is_five, is_hour = with_minute(just and just[field] or known[index], site[4], site[5])
        if minutes then
            raise(of_site[window])
            if is_five then
                raise(of_site[window + 1])
                if is_hour then
                    raise(of_site[window + 2])
                end
            end
            write(seen, field, minutes)
        end
        if not dates[first_date + index] and not (just_of_date and just_of_date[zones[index]]) then
            raise(of_site[window + 3])
            write(seen_of_date, zones[index], '1')
        end
    end
end

do
    local numbers, seens, dates, of_sites = unpack(batch.sightings)
    for index, number in ipairs(numbers) do
        local site, at = sites[of_sites[index]], old_at[number]
        if not (at and floor(at / 60000) == site[2] and old_zones[number] == batch.places[site[1]][1]) then
            see(site, seens[index], dates[index])
        end
    end
end

-- The first write needs no memory: after it Redis lets the others through at its maxmemory, too, so that what it has can
-- be worked off. And what must not fail half way does not: a key of another type shows now (state/key_types.py).
redis.call('HDEL', TOTALS, '')
redis.call('XLEN', DEAD)
redis.call('ZCARD', DIRTY)
redis.call('ZCARD', TOUCHED)
redis.call('ZCARD', LIVES)
redis.call('GET', TOUCHED_AT)
local time = redis.call('TIME')
time = time[1] * 1000 + floor(time[2] / 1000)
local ends = {}
local function end_of(day)
    if not ends[day] then
        local key = KEYS[LIFE + day]
        local known = tonumber(redis.call('GET', key) or '')
        if not known then
            known = time + batch.lives[day]
            local text = string.format('%.0f', known)
            redis.call('SET', key, text, 'PXAT', text)
            redis.call('ZADD', LIVES, text, string.match(key, '[^:]+$'))
        end
        ends[day] = string.format('%.0f', known)
    end
    return ends[day]
end
for _, window in ipairs(order) do
    end_of(windows[5][window])
end

-- What nobody of this version wrote counts as nothing known. It becomes a dead letter, without a word of it, once: it
-- is removed.
for _, number in ipairs(unreadable) do
    redis.call('DEL', KEYS[NEWEST + number])
    redis.call('XADD', DEAD, 'MAXLEN', batch.letters_max, '*', unpack(batch.unreadable[1]))
    add_to_total(TOTALS, batch.unreadable[2], 1)
end

-- Presence. First the word that it changes: where something fails then, one too many has been told.
do
    local is_touched, touched = {}, {}
    local function touches(sets)
        for _, set in ipairs(sets) do
            if not is_touched[set] then
                is_touched[set] = true
                touched[#touched + 1] = batch.names[set]
            end
        end
    end
    for _, left in ipairs(leaving) do
        touches(left[1])
    end
    for _, arrived in ipairs(arriving) do
        touches(arrived[1])
    end
    if #touched > 0 then
        touch(TOUCHED, TOUCHED_AT, touched)
    end
    -- Leaving comes first: a device that stays in a zone while it moves is in both lists.
    for _, left in ipairs(leaving) do
        for _, set in ipairs(left[1]) do
            in_chunks(left[2], function(...)
                redis.call('ZREM', KEYS[PRESENCE + set], ...)
            end)
        end
    end
    local kept = {}
    for _, arrived in ipairs(arriving) do
        for _, set in ipairs(arrived[1]) do
            in_chunks(arrived[2], function(...)
                redis.call('ZADD', KEYS[PRESENCE + set], ...)
            end)
            if not kept[set] then
                kept[set] = true
                redis.call('PEXPIRE', KEYS[PRESENCE + set], batch.keep)
            end
        end
    end
end

-- Counters, and then what tells that they were raised: nothing in between can fail. Where a counter cannot be raised,
-- those before it are lowered again.
for index, window in ipairs(order) do
    local key, field, count = KEYS[COUNTS + windows[1][window]], windows[2][window], raised[window]
    local now = redis.pcall('HINCRBY', key, field, count)
    if type(now) == 'table' then
        if not find(now.err, 'WRONGTYPE', 1, true) then
            -- What is there and no number is none of ours: it begins anew.
            redis.call('HSET', key, field, count)
            now = count
        else
            for before = 1, index - 1 do
                local other = order[before]
                redis.call('HINCRBY', KEYS[COUNTS + windows[1][other]], windows[2][other], -raised[other])
            end
            return now
        end
    end
    if now == count then
        redis.call('PEXPIREAT', key, end_of(windows[5][window]))
    end
end
for _, seen in ipairs(written_order) do
    local key, fields, new = KEYS[SEEN + seen], written[seen], 0
    for first = 1, #fields, CHUNK do
        new = new + redis.call('HSET', key, unpack(fields, first, math.min(first + CHUNK - 1, #fields)))
    end
    if new > 0 then
        redis.call('PEXPIREAT', key, end_of(batch.seen[seen]))
    end
end
do
    local marks = {}
    for index, window in ipairs(order) do
        marks[2 * index - 1], marks[2 * index] = windows[4][window], windows[3][window]
    end
    in_chunks(marks, function(...)
        redis.call('ZADD', DIRTY, 'NX', ...)
    end)
end

-- What is known of the devices changes last: where something fails, the next attempt finds what this one found.
-- It lives as long as presence may; of what comes late, as long as if it had come at once. Where not every position is
-- sure, twice as long: one that comes late must find what was before it.
local lifetime = settling and 2 * batch.ttl or batch.ttl
local back, soon = {}, string.format('%.0f', time + lifetime)
for _, number in ipairs(inside) do
    local at, lives = newest_at[number], soon
    if at > batch.now then
        lives = string.format('%.0f', time + lifetime + at - batch.now)
    end
    local value = settle.written(FENCE_OF, at, newest_lon[number], newest_lat[number], newest_zones[number],
        settled[number], anchor_at[number], anchor_zones[number], lists[number])
    redis.call('SET', KEYS[NEWEST + number], value, 'PXAT', lives)
    -- What was before its anchor cannot matter.
    if away_known[number] and anchor_at[number] >= away_at[number] then
        back[#back + 1] = number
    end
end
by_digit(back, function(key, numbers)
    for _, number in ipairs(numbers) do
        redis.call('ZREM', key, away_of(number))
    end
end)
-- Of where they were nothing stays, of where they are nothing comes. When that was is kept under another name, so that an
-- older position which comes later does not bring them back.
local recently = {}
for _, number in ipairs(outside) do
    if old_zones[number] ~= '' then
        redis.call('DEL', KEYS[NEWEST + number])
    end
    crossed[#crossed + 1] = number
end
for _, number in ipairs(crossed) do
    if away_at[number] > oldest then
        recently[#recently + 1] = number
    end
end
by_digit(recently, function(key, numbers)
    local arguments = {}
    for _, number in ipairs(numbers) do
        arguments[#arguments + 1] = away_at[number]
        arguments[#arguments + 1] = away_of(number)
    end
    -- A time that is further ahead than clocks may be must not be the greater one.
    redis.call('ZREMRANGEBYSCORE', key, string.format('(%.0f', latest), '+inf')
    in_chunks(arguments, function(...)
        redis.call('ZADD', key, 'GT', ...)
    end)
    redis.call('PEXPIRE', key, batch.ttl + batch.ahead)
end)

return {0, #unreadable, implausible, math.ceil(settle.passed)}
