-- In which zones a device is settled (decision 37), from what it was surely in last, its anchor, and from a list of what
-- its newer fixes say. Both follow from the set of its fixes alone, in whatever order they came.
-- A list is a text: how many zones (a byte), and of each its name (after a byte of length) and what the newest evidence
-- says of it (a byte: 1 inside, 2 outside, 0 there is none), how many fixes in a row were on the side of the newest one (a
-- byte, at the most), and the time of the oldest fix that the evidence needs (a double, or that of an older one); then
-- whether all of the list counts (a byte: 1, else there is a pause in it); how many fixes (two bytes, the lower first); and
-- the fixes, the oldest first: how many zones they name, of each its number and its margin plus 96, once more how many,
-- and the time as a double. Margins are from -96, surely outside, to 96, surely inside; a zone that a fix does not name is
-- at -96.
local settle = {}
do
    local byte, char, find, floor, sub = string.byte, string.char, string.find, math.floor, string.sub
    local unpack_struct, pack_struct = struct.unpack, struct.pack
    local SURE, NAMES, IN, OUT = 96, 255, 1, 2

    -- Fixes that were gone through, one by one; one of many zones is as much work as several.
    settle.passed = 0
    local function count_passed(fixes, zones)
        settle.passed = settle.passed + fixes * (1 + zones / 8)
    end

    -- What a list holds. Its fixes are in `fixes` from `first` on, and then in `added`: texts of thousands of bytes are
    -- made anew once, at the end.
    local function empty()
        return {
            names = {}, sides = {}, runs = {}, since = {}, whole = true, count = 0, newest = -1,
            fixes = '', first = 1, added = {},
        }
    end

    -- The list that begins at `at` in a text, and ends with it.
    function settle.opened(text, at)
        local list = empty()
        local names, sides, runs, since = list.names, list.sides, list.runs, list.since
        local all = byte(text, at)
        settle.passed = settle.passed + all
        at = at + 1
        for number = 1, all do
            local name_end = at + byte(text, at)
            names[number] = sub(text, at + 1, name_end)
            sides[number], runs[number], since[number] = unpack_struct('<BBd', text, name_end + 1)
            at = name_end + 11
        end
        local whole, low, high = byte(text, at, at + 2)
        list.whole, list.count, list.fixes, list.first = whole == 1, low + 256 * high, text, at + 3
        list.newest = unpack_struct('<d', text, #text - 7)
        return list
    end

    -- Puts a list as text at the end of others.
    local function close(list, parts)
        parts[#parts + 1] = char(#list.names)
        for number, name in ipairs(list.names) do
            parts[#parts + 1] = char(#name)
            parts[#parts + 1] = name
            parts[#parts + 1] = pack_struct('<BBd', list.sides[number], list.runs[number], list.since[number])
        end
        parts[#parts + 1] = char(list.whole and 1 or 0, list.count % 256, floor(list.count / 256))
        parts[#parts + 1] = sub(list.fixes, list.first)
        for _, fix in ipairs(list.added) do
            parts[#parts + 1] = fix
        end
    end

    -- All its fixes in one text.
    local function join(list)
        if #list.added > 0 then
            list.fixes = sub(list.fixes, list.first) .. table.concat(list.added)
            list.first, list.added = 1, {}
        end
    end

    -- The margins of a fix by the numbers of zones, from where their pairs begin, and how many there are.
    local function margins_at(fixes, first, zones)
        local known, margins = {byte(fixes, first, first + 2 * zones - 1)}, {}
        for index = 1, 2 * zones, 2 do
            margins[known[index]] = known[index + 1] - SURE
        end
        return margins
    end

    -- A fix as a text, and its margins by number; zones that the list does not name yet come at the end of its names, and
    -- all its fixes were surely outside of those. Nothing where there are too many.
    local function packed(list, number_of, at, margins, edges)
        local pairs_of, by_number = {}, {}
        for index = 1, #margins, 2 do
            local name, margin = edges[margins[index]], margins[index + 1]
            local number = number_of[name]
            if not number then
                number = #list.names + 1
                if number > NAMES then
                    return nil
                end
                list.names[number], number_of[name] = name, number
                list.sides[number], list.runs[number] = list.count > 0 and OUT or 0, 1
                list.since[number] = list.newest
            end
            pairs_of[index], pairs_of[index + 1], by_number[number] = number, margin + SURE, margin
        end
        local zones = char(#margins / 2)
        return char(#margins / 2, unpack(pairs_of)) .. zones .. pack_struct('<d', at), by_number
    end

    -- What evidence there is, from the newest fix back until there is some for each zone, or to a pause of more than `ttl`:
    -- what was before that says nothing, as the device was not present then. If nothing that comes can fill the pause, as
    -- what comes is after `oldest`, what was before it goes, and the answer is true.
    local function walk(list, fixes_in_a_row, keep, ttl, oldest)
        join(list)
        local names, fixes = list.names, list.fixes
        local all, last, seen, after = #names, #fixes, 0, list.newest
        local undecided, sides, since, runs, run, newer, over = all, {}, {}, {}, {}, {}, {}
        list.whole = true
        local forget = false
        while seen < list.count and undecided > 0 do
            local at = unpack_struct('<d', fixes, last - 7)
            if after - at > ttl then
                list.whole = false
                if after <= oldest then
                    list.first, list.count, list.whole, forget = last + 1, seen, true, true
                end
                break
            end
            after, seen = at, seen + 1
            local zones = byte(fixes, last - 8)
            local first = last - 8 - 2 * zones
            local margins = margins_at(fixes, first, zones)
            for number = 1, all do
                if not sides[number] then
                    local margin, next_one = margins[number] or -SURE, newer[number]
                    local inside = margin >= 0
                    local together = inside and margin or -margin
                    if not next_one then
                        run[number], runs[number] = 1, 1
                    elseif (next_one >= 0) == inside then
                        run[number] = run[number] + 1
                        together = together + (inside and next_one or -next_one)
                        runs[number] = over[number] and runs[number] or run[number]
                    else
                        run[number], over[number] = 1, true
                    end
                    if together >= SURE or run[number] >= fixes_in_a_row then
                        sides[number], since[number], undecided = inside and IN or OUT, at, undecided - 1
                    end
                    newer[number] = margin
                end
            end
            last = first - 2
        end
        for number = 1, all do
            if not sides[number] and not list.whole then
                sides[number] = seen < keep and newer[number] >= 0 and IN or OUT
            end
            list.sides[number], list.since[number] = sides[number] or 0, since[number] or 0
            list.runs[number] = math.min(runs[number] or 0, 255)
        end
        count_passed(seen, all)
        return forget
    end

    -- One fix more, the newest: what evidence there is then. `before` are the margins of the one that was the newest.
    local function follow(list, before, margins, at, fixes_in_a_row)
        local sides, runs, since = list.sides, list.runs, list.since
        for number = 1, #list.names do
            local margin, earlier = margins[number] or -SURE, before and (before[number] or -SURE)
            local inside = margin >= 0
            local together, run, side = inside and margin or -margin, 1, inside and IN or OUT
            if together >= SURE then
                sides[number], since[number] = side, at
            end
            if earlier and (earlier >= 0) == inside then
                run = math.min(runs[number] + 1, 255)
                if together < SURE and together + (inside and earlier or -earlier) >= SURE then
                    sides[number], since[number] = side, list.newest
                elseif run >= fixes_in_a_row and sides[number] ~= side then
                    -- It needs some fixes before this one: which, is looked up when the oldest fix goes.
                    sides[number], since[number] = side, -1
                end
            end
            runs[number] = run
        end
    end

    -- Without fixes that are not after `after`, or before `from`, or more than `keep`; whether evidence went with them.
    local function shorten(list, after, from, keep)
        if list.count - keep >= list.count - #list.added then
            join(list)
        end
        local fixes, first, count = list.fixes, list.first, list.count
        local at
        while count > #list.added do
            local length = 2 * byte(fixes, first) + 10
            at = unpack_struct('<d', fixes, first + length - 8)
            if at > after and at >= from and count <= keep then
                break
            end
            first, count = first + length, count - 1
        end
        if count == list.count then
            return false
        end
        list.first, list.count = first, count
        for number, run in ipairs(list.runs) do
            list.runs[number] = math.min(run, count)
        end
        for number, side in ipairs(list.sides) do
            if side ~= 0 and list.since[number] < at then
                return true
            end
        end
        return not list.whole
    end

    -- Of two fixes of one instant: whether the one says more than the other. Each is {name, margin, name, margin...}.
    local function greater(one, other)
        local zones = {'', ''}
        for side, margins in ipairs({one, other}) do
            local held = {}
            for index = 1, #margins, 2 do
                held[#held + 1] = margins[index + 1] >= 0 and margins[index] or nil
            end
            zones[side] = table.concat(held, ',')
        end
        if zones[1] ~= zones[2] then
            return zones[1] > zones[2]
        end
        for index = 1, math.min(#one, #other) do
            if one[index] ~= other[index] then
                return one[index] > other[index]
            end
        end
        return #one > #other
    end

    -- A fix as {name, margin, ...}, if it is a text of a list with these names.
    local function named(fix, names)
        if type(fix) ~= 'string' then
            return fix
        end
        local zones = byte(fix)
        local margins, known = {}, {byte(fix, 2, 2 * zones + 1)}
        for index = 1, 2 * zones, 2 do
            margins[index], margins[index + 1] = names[known[index]], known[index + 1] - SURE
        end
        return margins
    end

    -- The newest fixes as a list. `names` are those of the fixes that are texts, which stay as they are if `as_they_are`;
    -- nothing where there are more zones than a list can name then, else those fixes that it can.
    local function in_order(times, by_time, names, as_they_are, keep)
        local list, number_of, parts = empty(), {}, {}
        if as_they_are then
            for number, name in ipairs(names) do
                list.names[number], number_of[name] = name, number
            end
        end
        for at = #times, math.max(#times - keep, 0) + 1, -1 do
            local fix = by_time[times[at]]
            if not as_they_are or type(fix) ~= 'string' then
                local margins, numbered, own, known = named(fix, names), {}, {}, #list.names
                for index = 1, #margins, 2 do
                    own[#own + 1] = margins[index]
                    numbered[index], numbered[index + 1] = #own, margins[index + 1]
                end
                fix = packed(list, number_of, times[at], numbered, own)
                if not fix and as_they_are then
                    return nil
                elseif not fix then
                    for number = #list.names, known + 1, -1 do
                        list.names[number] = nil
                    end
                    break
                end
            end
            parts[#parts + 1] = fix
        end
        list.count, list.newest = #parts, times[#times] or -1
        for low = 1, floor(#parts / 2) do
            local high = #parts + 1 - low
            parts[low], parts[high] = parts[high], parts[low]
        end
        list.fixes = table.concat(parts)
        return list
    end

    -- The list with fixes that are not the newest: all of it is made anew. `old` is a list or nothing.
    local function inserted(old, more, edges, after, from, keep)
        local times, by_time, names = {}, {}, old and old.names or {}
        local function add(at, fix)
            if at <= after or at < from then
                return
            end
            if not by_time[at] then
                times[#times + 1] = at
                by_time[at] = fix
            elseif greater(named(fix, names), named(by_time[at], names)) then
                by_time[at] = fix
            end
        end
        if old then
            local first = old.first
            for _ = 1, old.count do
                local last = first + 2 * byte(old.fixes, first) + 9
                add(unpack_struct('<d', old.fixes, last - 7), sub(old.fixes, first, last))
                first = last + 1
            end
            count_passed(2 * old.count, 0)
        end
        for _, fix in ipairs(more) do
            local margins = {}
            for index = 1, #fix[2], 2 do
                margins[index], margins[index + 1] = edges[fix[2][index]], fix[2][index + 1]
            end
            add(fix[1], margins)
        end
        table.sort(times)
        return in_order(times, by_time, names, true, keep) or in_order(times, by_time, names, false, keep)
    end

    -- The list, which may be nothing, with more fixes, {time, {number in edges, margin, ...}} each, without those that are
    -- not after `after`, the anchor, or before `from`, a time outside, and of the others the newest `keep`. Nothing where
    -- none is left. Then whether it is another one, and whether the anchor goes, as a pause lies between.
    function settle.merged(list, more, edges, after, from, limits)
        local fixes_in_a_row, keep, ttl, oldest = unpack(limits)
        local changed, stale = false, false
        if list and (list.newest <= after or list.newest < from) then
            list, changed = nil, true
        elseif list then
            local count = list.count
            stale = shorten(list, after, from, keep)
            changed = list.count ~= count
        end
        local old = list
        list = list or empty()
        local number_of, added, before = {}, list.added, nil
        for number, name in ipairs(list.names) do
            number_of[name] = number
        end
        if list.count > 0 then
            local zones = byte(list.fixes, #list.fixes - 8)
            before = margins_at(list.fixes, #list.fixes - 8 - 2 * zones, zones)
        end
        for _, fix in ipairs(more) do
            local at = fix[1]
            if at > after and at >= from then
                local text, margins
                if at >= list.newest then
                    text, margins = packed(list, number_of, at, fix[2], edges)
                end
                local is_there = text and at == list.newest and sub(added[#added] or list.fixes, -#text) == text
                if not text or at == list.newest and not is_there then
                    if #added > 0 then
                        -- All that was added comes once more: that of the list alone is the old one.
                        old = old and {
                            names = old.names, count = old.count - #added, fixes = old.fixes, first = old.first,
                        }
                    end
                    list, changed, stale = inserted(old, more, edges, after, from, keep), true, true
                    break
                elseif not is_there then
                    if not list.whole or list.count > 0 and at - list.newest > ttl then
                        stale = true
                    end
                    if not stale then
                        follow(list, before, margins, at, fixes_in_a_row)
                    end
                    added[#added + 1], before, changed = text, margins, true
                    list.count, list.newest = list.count + 1, at
                end
            end
        end
        if list.count == 0 then
            return nil, changed, false
        end
        stale = shorten(list, -1, -1, keep) or stale
        return list, changed, stale and walk(list, fixes_in_a_row, keep, ttl, oldest)
    end

    -- The zones that count as those of the device, joined by commas, the campus first. `at` is the time of its newest fix;
    -- `zones` are those of its anchor, if it has one (`anchor` is its time, else -1).
    function settle.zones(list, at, anchor, zones, campus, keep, ttl)
        if not list then
            return anchor >= 0 and at - anchor <= ttl and zones or campus
        elseif at - list.newest > ttl then
            return campus
        end
        local found, anchored, margins = {}, nil, nil
        for number, name in ipairs(list.names) do
            local inside = list.sides[number] == IN
            if list.sides[number] == 0 then
                if anchored == nil then
                    local fixes, first = list.fixes, list.first
                    if first > #fixes then
                        fixes, first = list.added[1], 1
                    end
                    local count = byte(fixes, first)
                    local first_at = unpack_struct('<d', fixes, first + 2 * count + 2)
                    anchored = anchor >= 0 and first_at - anchor <= ttl and ',' .. zones .. ','
                    margins = margins_at(fixes, first + 1, count)
                end
                if anchored then
                    inside = find(anchored, ',' .. name .. ',', 1, true) ~= nil
                else
                    inside = list.count < keep and (margins[number] or -SURE) >= 0
                end
            end
            if inside then
                found[#found + 1] = name
            end
        end
        table.sort(found)
        table.insert(found, 1, campus)
        return table.concat(found, ',')
    end

    -- What is known of a device: time, longitude, latitude and zones of its newest fix, the zones it is settled in, time
    -- and zones of its anchor (-1 and none), and where its list begins. Nothing where no decoder of this version or the one before wrote
    -- it. Of what was fenced with another campus than `fence` nothing counts but the newest fix and where it is settled.
    local SETTLED, ANCHOR, NO_ANCHOR, LIST = 1, 2, 4, 8
    local function zones_at(known, at)
        local zones, next_at = unpack_struct('<Hc0', known, at)
        if zones == '' or find(zones, '[^%w._,-]') then
            error('no zones')
        end
        return zones, next_at
    end
    local function read(known, fence)
        local _, flags, of, at, lon, lat, next_at = unpack_struct('<BBI4ddd', known)
        local zones, settled, anchor, anchor_zones, list
        zones, next_at = zones_at(known, next_at)
        settled, anchor, anchor_zones = zones, at, zones
        if flags % (2 * SETTLED) >= SETTLED then
            settled, next_at = zones_at(known, next_at)
        end
        if flags % (2 * NO_ANCHOR) >= NO_ANCHOR then
            anchor, anchor_zones = -1, ''
        elseif flags % (2 * ANCHOR) >= ANCHOR then
            anchor, next_at = unpack_struct('<d', known, next_at)
            anchor_zones, next_at = zones_at(known, next_at)
        end
        if flags % (2 * LIST) >= LIST then
            list = next_at
        end
        if fence and of ~= fence then
            anchor, anchor_zones, list = -1, '', nil
        end
        return at, lon, lat, zones, settled, anchor, anchor_zones, list
    end
    function settle.read(known, fence)
        if byte(known) == 1 and #known > 25 and not find(known, '[^%w._,-]', 26) then
            local at, lon, lat = unpack_struct('<ddd', known, 2)
            local zones = sub(known, 26)
            return at, lon, lat, zones, zones, at, zones
        elseif byte(known) == 2 then
            local readable, at, lon, lat, zones, settled, anchor, anchor_zones, list = pcall(read, known, fence)
            if readable then
                return at, lon, lat, zones, settled, anchor, anchor_zones, list
            end
        end
        return nil
    end

    -- The same as a text.
    function settle.written(fence, at, lon, lat, zones, settled, anchor, anchor_zones, list)
        local flags, parts = 0, {''}
        if settled ~= zones then
            flags, parts[2] = SETTLED, pack_struct('<Hc0', #settled, settled)
        end
        if anchor < 0 then
            flags = flags + NO_ANCHOR
        elseif anchor ~= at or anchor_zones ~= zones then
            flags, parts[#parts + 1] = flags + ANCHOR, pack_struct('<dHc0', anchor, #anchor_zones, anchor_zones)
        end
        if list then
            flags = flags + LIST
            close(list, parts)
        end
        parts[1] = pack_struct('<BBI4dddHc0', 2, flags, fence or 0, at, lon, lat, #zones, zones)
        return #parts > 1 and table.concat(parts) or parts[1]
    end
end
