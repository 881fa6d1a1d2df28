-- The next messages of a queue, which count as sent from now on. What is too old is dropped.
-- Of states (what is retained below `v1`: the newest message replaces the others) a queue holds none before it is sent.
-- A session has gone on to a version of `states`, and gets what has changed since: each topic once, as it is now. From
-- then on a reference is in the queue, until the client has it: `s`, and `r` where it was retained when the client
-- subscribed, with QoS and topic.
-- ARGV: node, connection, client, after (sequence), count, drop what was queued before (ms), and of positions (ms),
-- MessagePack of the filters that the client may receive states by: {{filter, QoS}}, or empty for none; and of the version
-- that it gets of each application, with the filters by which it gets any: {{application = version}, {filter}}, or empty
-- where it gets all. A message of another version that was never sent is not for it, and is dropped here and not by who
-- reads it: so none is taken for sent that was not.
-- Answers nil if another connection has taken over, else {highest sequence sent over earlier connections, dropped,
-- {sequence, field, reference or empty, message, ...}, 1 if there may be more}. A reference has an empty message where
-- nothing is retained any more.
local node, connection, client, after, count, drop_before, drop_brief_before, filters, choice = unpack(ARGV)
if not has(client, node, connection) then
    return nil
end
-- Changes of states that are looked at in one script, times filters that they are compared with.
local COMPARISONS = 4000
count, drop_before, drop_brief_before = tonumber(count), tonumber(drop_before), tonumber(drop_brief_before)
local own = key('session', client)
local session = session_of(client)
if not session then
    return nil
end
local from, found, aged, wanted = tonumber(after) + 1, {}, 0, count
-- Entries that one script looks at, be it that they are too old; four filters that one is compared with count as one.
local LOOKS = 1000
local looked, seen_all = 0, false

local function give(sequence, field, reference, message)
    found[#found + 1] = sequence
    found[#found + 1] = field
    found[#found + 1] = reference
    found[#found + 1] = message
end

local function drop(entry)
    redis.call('XDEL', key(entry.brief and 'brief' or 'queue', client), entry[1])
    spend(session, -cost(entry[2][1], entry[2][2]))
end

-- The next entries of both queues, in the order of their numbers.
local function next_entries()
    local entries = redis.call('XRANGE', key('queue', client), digits(from) .. '-0', '+', 'COUNT', wanted)
    if session.brief == 0 then
        return entries
    end
    local brief = redis.call('XRANGE', key('brief', client), digits(from) .. '-0', '+', 'COUNT', wanted)
    local merged, first, second = {}, 1, 1
    while #merged < wanted and (entries[first] or brief[second]) do
        local entry = entries[first]
        if brief[second] and not (entry and sequence_of(entry) < sequence_of(brief[second])) then
            entry = brief[second]
            entry.brief = true
            second = second + 1
        else
            first = first + 1
        end
        merged[#merged + 1] = entry
    end
    return merged
end

local function split(name)
    local levels = {}
    for level in string.gmatch(name .. '/', '([^/]*)/') do
        levels[#levels + 1] = level
    end
    return levels
end

local function matches(filter, topic)
    for index, level in ipairs(filter) do
        -- `a/#` matches `a` as well (4.7.1.2).
        if level == '#' then
            return true
        elseif topic[index] == nil or (level ~= '+' and level ~= topic[index]) then
            return false
        end
    end
    return #filter == #topic
end

-- `core.versions.WIRE`, after the QoS of a reference, or the beginnings of an array and a string.
local OF_A_VERSION = '^..?.?.?app%-versions/'
local chosen, as_published

-- The topic of a message, which is the first in an array; empty where it is none. Redis's own reader knows no binary payloads.
local function topic_of(message)
    local _, header, first, second = string.byte(message, 1, 4)
    if header >= 0xa0 and header <= 0xbf then
        return string.sub(message, 3, 2 + header - 0xa0)
    elseif header == 0xd9 then
        return string.sub(message, 4, 3 + first)
    elseif header == 0xda then
        return string.sub(message, 5, 4 + first * 256 + second)
    end
    return ''
end

-- Whether an entry is of a version of an application that the client does not get.
local function of_another_version(field, value)
    if not chosen then
        chosen, as_published = unpack(cmsgpack.unpack(choice))
        for index, filter in ipairs(as_published) do
            as_published[index] = split(filter)
        end
    end
    local levels = split(field == 'r' and string.sub(value, 2) or topic_of(value))
    local version = levels[1] == 'app-versions' and levels[3] and chosen[levels[2]]
    if not version or version == levels[3] then
        return false
    end
    looked = looked + #as_published / 4
    for _, filter in ipairs(as_published) do
        if matches(filter, levels) then
            return false
        end
    end
    return true
end

while wanted > 0 and looked < LOOKS do
    local entries, done = next_entries(), 0
    looked = looked + #entries
    for _, entry in ipairs(entries) do
        local sequence = string.match(entry[1], '^%d+')
        local field, value = entry[2][1], entry[2][2]
        from = tonumber(sequence) + 1
        if choice ~= '' and from > session.sent + 1 and string.find(value, OF_A_VERSION)
            and of_another_version(field, value) then
            drop(entry)
        elseif field == 'r' or field == 's' then
            local message = redis.call('HGET', key('retained'), string.sub(value, 2))
            if message or field == 's' then
                give(sequence, field, value, message or '')
            else
                drop(entry)
            end
        elseif number(entry[2][4]) < (entry.brief and drop_brief_before or drop_before) then
            drop(entry)
            aged = aged + 1
        else
            give(sequence, field, '', value)
        end
        done = done + 1
        if looked > LOOKS + #entries then
            break
        end
    end
    if #entries < wanted then
        seen_all = done == #entries
        break
    end
    wanted = count - #found / 4
end

local more = not seen_all
local version = number(redis.call('GET', key('states:version')))
local states = number(redis.call('HGET', own, 'states'))
if filters ~= '' and seen_all and states < version then
    local split_filters = {}
    for _, each in ipairs(cmsgpack.unpack(filters)) do
        split_filters[#split_filters + 1] = {split(each[1]), each[2]}
    end
    local most = math.max(1, math.floor(COMPARISONS / math.max(20, #split_filters)))
    local changed = redis.call('ZRANGEBYSCORE', key('states'), digits(states + 1), '+inf', 'WITHSCORES',
        'LIMIT', 0, most)
    local reached = version
    if #changed == most * 2 then
        more, reached = true, tonumber(changed[#changed])
    end
    for index = 1, #changed, 2 do
        local topic, levels, granted = changed[index], split(changed[index]), 0
        for _, each in ipairs(split_filters) do
            if each[2] > granted and matches(each[1], levels) then
                granted = each[2]
            end
        end
        if granted > 0 then
            if wanted == 0 or not numbered(client, session) then
                more, reached = wanted == 0, tonumber(changed[index + 1]) - 1
                break
            end
            local message = redis.call('HGET', key('retained'), topic)
            local qos = math.min(granted, tonumber(redis.call('HGET', key('states:qos'), topic) or '') or granted)
            give(digits(session.next), 's', qos .. topic, message or '')
            from = session.next + 1
            add(client, session, 's', qos .. topic, AGELESS)
            wanted = wanted - 1
        end
    end
    redis.call('HSET', own, 'states', digits(reached))
end

local before = redis.call('HGET', own, 'before')
local sent = math.max(session.sent, from - 1)
if seen_all and wanted > 0 then
    -- All of them: what comes next wakes the client.
    sent = session.next - 1
end
redis.call('HSET', own, 'sent', digits(sent))
settle()
return {before, aged, found, more and 1 or 0}
