"""What Redis does with the keys of endpoints, each in one step and one round trip.

A key is a hash: `lent` (µs since the epoch), `hour`, `hour_calls`, `day`, `day_calls` (counts of the hour and day with
that number), `rests` and `refused` (ms since the epoch until which), `errors`, `erred` and `limited` (in a row). All
times are those of the Redis server. The rules are those of generation.engine.providers.keys.KeyPool.
"""

from __future__ import annotations

KEPT_MS = 2 * 86_400_000
"""A key that nobody uses is forgotten after two days: no counter is needed longer."""

_NOW = """
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
"""

_COUNT = f"""
    local function count(key, now, calls)
        local hour, day = math.floor(now / 3600000), math.floor(now / 86400000)
        local known = redis.call('HMGET', key, 'hour', 'hour_calls', 'day', 'day_calls')
        local this_hour = known[1] == tostring(hour) and tonumber(known[2]) or 0
        local today = known[3] == tostring(day) and tonumber(known[4]) or 0
        redis.call('HSET', key, 'hour', hour, 'hour_calls', this_hour + calls, 'day', day, 'day_calls', today + calls)
        redis.call('PEXPIRE', key, {KEPT_MS})
    end
"""

# Keys: pause, revision, and one a key. Arguments: the revision that is known; two limits a key, 0 for none.
# Returns {'news', revision}, {'rest', ms, why, keys} or {'key', number from 1, whether something is held against it}.
LEND = f"""
    {_NOW}
    {_COUNT}
    local revision = redis.call('GET', KEYS[2])
    if revision and revision ~= ARGV[1] then return {{'news', revision}} end
    local pause = redis.call('PTTL', KEYS[1])
    if pause > 0 then return {{'rest', pause, 'paused', 1}} end

    local hour, day = math.floor(now / 3600000), math.floor(now / 86400000)
    local all, favoured = {{}}, {{}}
    for n = 1, #KEYS - 2 do
        local known = redis.call('HMGET', KEYS[n + 2],
            'lent', 'hour', 'hour_calls', 'day', 'day_calls', 'rests', 'refused', 'errors', 'limited')
        local one = {{number = n, lent = tonumber(known[1] or 0), wait = tonumber(known[6] or 0) - now, spent = false}}
        local hourly, daily = tonumber(ARGV[2 * n]), tonumber(ARGV[2 * n + 1])
        if hourly > 0 and known[2] == tostring(hour) and tonumber(known[3]) >= hourly then
            one.spent, one.wait = true, math.max(one.wait, (hour + 1) * 3600000 - now)
        end
        if daily > 0 and known[4] == tostring(day) and tonumber(known[5]) >= daily then
            one.spent, one.wait = true, math.max(one.wait, (day + 1) * 86400000 - now)
        end
        one.held = (known[7] or known[8] or known[9]) and 1 or 0
        table.insert(all, one)
        if tonumber(known[7] or 0) <= now then table.insert(favoured, one) end
    end

    local able, chosen, wait, why = #favoured > 0 and favoured or all, nil, nil, 'spent'
    for _, one in ipairs(able) do
        if one.wait <= 0 and (not chosen or one.lent < chosen.lent) then chosen = one end
        if not wait or one.wait < wait then wait = one.wait end
        if not one.spent then why = 'resting' end
    end
    if not chosen then return {{'rest', wait, why, #able}} end
    local key = KEYS[chosen.number + 2]
    count(key, now, 1)
    redis.call('HSET', key, 'lent', string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2])))
    return {{'key', chosen.number, chosen.held}}
"""

# For an endpoint whose only key has no limits. Keys: pause, revision, and the key if there is one. Arguments: the calls
# made since the last look. Returns {revision, ms until the next call may be made}.
LOOK = f"""
    {_NOW}
    {_COUNT}
    local pause, rests = redis.call('PTTL', KEYS[1]), 0
    if KEYS[3] then
        if tonumber(ARGV[1]) > 0 then count(KEYS[3], now, tonumber(ARGV[1])) end
        rests = tonumber(redis.call('HGET', KEYS[3], 'rests') or 0) - now
    end
    return {{redis.call('GET', KEYS[2]) or '', math.max(pause, rests, 0)}}
"""

# Keys: the key, and the others of its endpoint. Arguments: the news, the server's wish in ms or -1, and of KeyRules
# errors, apart, cooldown, aside, unsaid.
SETTLE = f"""
    {_NOW}
    local key, news, wish = KEYS[1], ARGV[1], tonumber(ARGV[2])
    local most, apart, cooldown = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
    local aside, unsaid = tonumber(ARGV[6]), tonumber(ARGV[7])
    local function of(name, which) return tonumber(redis.call('HGET', which or key, name) or 0) end
    local function rest(ms) redis.call('HSET', key, 'rests', math.max(of('rests'), now + ms)) end

    local function another_is_free()
        for n = 2, #KEYS do
            if math.max(of('rests', KEYS[n]), of('refused', KEYS[n])) <= now then return true end
        end
        return false
    end

    if news == 'fine' then
        redis.call('HDEL', key, 'errors', 'erred', 'limited', 'refused')
    elseif news == 'refused' then
        redis.call('HSET', key, 'refused', now + aside)
    elseif news == 'limited' and wish >= 0 then
        rest(wish)
    elseif news == 'limited' and #KEYS > 1 and of('rests') <= now then
        rest(math.min(unsaid, 1000 * 2 ^ (redis.call('HINCRBY', key, 'limited', 1) - 1)))
    elseif news == 'failed' and now - of('erred') >= apart then
        redis.call('HSET', key, 'erred', now)
        if redis.call('HINCRBY', key, 'errors', 1) >= most and another_is_free() then
            redis.call('HDEL', key, 'errors')
            rest(cooldown)
        end
    end
    redis.call('PEXPIRE', key, {KEPT_MS})
    return 1
"""
