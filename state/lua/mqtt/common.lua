-- What all scripts of the brokers begin with: how keys are named, and numbers.
-- KEYS[1] is the guard of {mqtt} (state/slots.py), the next ones are what a script is about. The others depend on what it finds,
-- such as whose a session is: they are named here alone, as `state.mqtt.key` does.
local TAG = string.match(KEYS[1], '{[^}]*}')

local function key(kind, name)
    return kind .. ':' .. TAG .. (name and ':' .. name or '')
end

-- Lua writes large numbers as 1.77e+15.
local function digits(number)
    return string.format('%.0f', number)
end

-- What is no number is none of ours, and counts as 0.
local function number(text)
    return tonumber(text or '') or 0
end

-- Add to a number in a hash; where there is none, or something else, it begins anew.
local function add_number(key, field, by)
    local found = redis.pcall('HINCRBY', key, field, by)
    if type(found) ~= 'table' then
        return found
    end
    redis.call('HSET', key, field, by)
    return number(by)
end

-- A key of another type than it should have, out of the way (state/key_types.py), for a day.
local function set_aside(name)
    redis.call('RENAME', name, 'aside:' .. name)
    redis.call('PEXPIRE', 'aside:' .. name, 86400000)
end
