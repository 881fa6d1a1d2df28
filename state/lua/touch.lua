-- Note that presence sets of a partition change (`state.presence`), by their names, `zone:kind`.
local function touch(touched, touched_at, names)
    local number = redis.pcall('INCR', touched_at)
    if type(number) == 'table' then
        if string.find(number.err, 'WRONGTYPE', 1, true) then
            error(number.err)
        end
        -- What is no number is none of ours: it begins above all that anybody has seen.
        number = string.format('%.0f', redis.call('TIME')[1] * 1000)
        redis.call('SET', touched_at, number)
    end
    for first = 1, #names, 500 do
        local marks = {}
        for index = first, math.min(first + 499, #names) do
            marks[#marks + 1] = number
            marks[#marks + 1] = names[index]
        end
        redis.call('ZADD', touched, unpack(marks))
    end
end
