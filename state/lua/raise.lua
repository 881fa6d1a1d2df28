-- Raise a number that goes up with each change (state/raised.py).
local function raise(name)
    local raised = redis.pcall('INCR', name)
    -- What is no number is none of ours, nor is what nobody could have counted to: it begins anew, and is another one.
    if type(raised) == 'table' or raised < 1 or raised > 1e15 then
        redis.call('SET', name, redis.call('TIME')[1])
    end
end
