-- Append windows to a stream that is kept short: what is cut off is counted, and its hours are noted as gaps.
-- KEYS: the guard, the stream, the gaps. ARGV: how many bytes may be in it, the windows, whether to note hours ('1').
-- Each entry has in `b` how many bytes there were in all entries up to it, ever. Answers how many entries were cut off.
local HOUR = 3600000
local stream, most = KEYS[2], tonumber(ARGV[1])

local function members(entry)
    local found = {}
    for index = 1, #entry[2], 2 do
        found[entry[2][index]] = entry[2][index + 1]
    end
    return found
end

local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local bytes = (newest and tonumber(members(newest).b) or 0) + #ARGV[2]
local cut = 0
while true do
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not oldest then
        break
    end
    local found = members(oldest)
    if bytes - (tonumber(found.b) or 0) < most then
        break
    end
    local readable, windows = pcall(cmsgpack.unpack, found.d or '')
    if ARGV[3] == '1' and readable and type(windows) == 'table' then
        for _, window in ipairs(windows) do
            local start = type(window) == 'table' and tonumber(window[4])
            if start then
                redis.call('SADD', KEYS[3], string.format('%.0f', start - start % HOUR))
            end
        end
    end
    redis.call('XTRIM', stream, 'MAXLEN', redis.call('XLEN', stream) - 1)
    cut = cut + 1
end
redis.call('XADD', stream, '*', 'd', ARGV[2], 'b', string.format('%.0f', bytes))
return cut
