-- Shared head of the scripts that write to a session's log.
--
-- meta    hash   epoch     name of this life of the log
--                base      the seq below the epoch's first event
--                top       the last seq given
--                fence     newest claim that published;  batch  its last batch
--                settled   the seq after which a snapshot of the first
--                messages  messages of the transcript misses nothing
-- log     stream entry id <seq>-0, field d
--
-- Number `events`, append them to the log and publish them as one frame.  An event is its JSON
-- from '"session":' on, without the opening '{"v":1,"seq":N,'.  If there is no epoch, one begins
-- above `floor`, the last seq that Postgres knows.
local function append(meta, log, channel, limits, origin, events)
  local known = redis.call('HMGET', meta, 'epoch', 'top')
  local epoch, top = known[1], tonumber(known[2] or '0')
  if not epoch then
    epoch, top = origin.epoch, tonumber(origin.floor)
    redis.call('DEL', log)
    redis.call('HSET', meta, 'epoch', epoch, 'base', top, 'settled', top, 'messages', origin.messages)
  end
  local numbered = {}
  for _, event in ipairs(events) do
    top = top + 1
    local seq = string.format('%d', top)
    local whole = '{"v":1,"seq":' .. seq .. ',' .. event
    redis.call('XADD', log, 'MAXLEN', '~', limits.length, seq .. '-0', 'd', whole)
    numbered[#numbered + 1] = whole
  end
  redis.call('HSET', meta, 'top', string.format('%d', top))
  redis.call('EXPIRE', meta, limits.meta_ttl)
  redis.call('EXPIRE', log, limits.log_ttl)
  redis.call('PUBLISH', channel, '{"epoch":"' .. epoch .. '","events":[' .. table.concat(numbered, ',') .. ']}')
  return epoch, top
end
