-- The text and the number of a rule; an empty one and 0 where there is none, or only what was read and is no rule.
local function current_rule(rules, app, unreadable)
    local current = redis.call('HGET', rules, app)
    if not current or current == unreadable then
        return '', 0
    end
    local decoded, rule = pcall(cjson.decode, current)
    if decoded and type(rule) == 'table' and type(rule['number']) == 'number' then
        return current, rule['number']
    end
    return current, 0
end
