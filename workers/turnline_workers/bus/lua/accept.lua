-- Take entries off a session's inbox once Postgres has them, and say so, exactly once.
--
-- An entry is announced when it is removed, and it is removed once: a worker that dies between
-- its commit and this call leaves the entry to the next one, which announces it then.
--
-- KEYS[1] inbox   KEYS[2] rung   KEYS[3] meta   KEYS[4] log   KEYS[5..] one turn key per entry
-- ARGV[1] channel   ARGV[2] session
-- ARGV[3] floor   ARGV[4] name for a new epoch   ARGV[5] messages in the transcript
-- ARGV[6] longest log   ARGV[7] ttl of the log, s   ARGV[8] ttl of meta, s
-- ARGV[9] seconds that an empty inbox lives (it remembers its last id, so that positions grow)
-- ARGV[10..] per entry: id, state ('accepted', 'refused:<reason>', or '' for no turn), event or ''
--
-- Returns {entries removed, entries left}.  What is left came meanwhile, and nobody rang for it.
-- The last id there is: once somebody used it, nothing can be appended to the stream any more.
local LAST = '18446744073709551615-18446744073709551615'

local removed, events, exhausted = 0, {}, false
for i = 5, #KEYS do
  local at = 10 + (i - 5) * 3
  local id, state, event = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if redis.call('XDEL', KEYS[1], id) == 1 then
    removed = removed + 1
    exhausted = exhausted or id == LAST
    if event ~= '' then events[#events + 1] = event end
    local known = state ~= '' and redis.call('GET', KEYS[i])
    if known then
      local position, fingerprint = string.match(known, '^([^|]*)|([^|]*)|')
      -- Only the entry that holds the id speaks for it; a doubled one must not.
      if position == id then
        redis.call('SET', KEYS[i], position .. '|' .. fingerprint .. '|' .. state, 'KEEPTTL')
      end
    end
  end
end
local left = redis.call('XLEN', KEYS[1])
if left == 0 then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[9])
  if exhausted then redis.call('DEL', KEYS[1]) end
end
if #events > 0 then
  local limits = {length = ARGV[6], log_ttl = ARGV[7], meta_ttl = ARGV[8]}
  local origin = {floor = ARGV[3], epoch = ARGV[4], messages = ARGV[5]}
  append(KEYS[3], KEYS[4], ARGV[1], limits, origin, events)
end
return {removed, left}
