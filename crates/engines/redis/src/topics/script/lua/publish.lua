-- P: publishing. A message comes as { publish id, key, group, priority, JMS priority, kind of end,
-- end, kind of begin, begin, payload bytes, where its body is in ARGV }: kind 1 is a time, 2 a span.

-- Most publish ids, and keys, that are remembered.
P.SEEN = 1000000

local function resolve(kind, value)
  if kind == 1 then return value end
  if kind == 2 then return min(T.now + value, NEVER) end
  return false
end

-- When a message expires, and until when it is held back.
function P.times(message)
  local expires = resolve(message[6], message[7])
  local deliver = resolve(message[8], message[9])
  if not expires and T.o.ttl then expires = min(T.now + T.o.ttl, NEVER) end
  return expires, deliver and deliver > T.now and deliver
end

function P.head(message, publish_id)
  local expires, deliver = P.times(message)
  local priority = message[4]
  if not priority then
    priority = T.o.default_priority
    if message[5] then priority = floor((9 - message[5]) * T.o.priorities / 10) end
  end
  priority = min(priority, T.o.priorities - 1)
  return { priority, message[10], T.now, expires, deliver, message[2], message[3], publish_id }
end

-- Ids or keys that were seen: `u` and `v` have sequence and time of each, `ut` and `vt` the times.
local function seen(kind, id, window)
  local found = call('HGET', N[kind], id)
  if not found then return nil end
  local seq, at = string.match(found, '(%d+):(%d+)')
  return tonumber(at) + window >= T.now and tonumber(seq) or nil
end

function P.note(kind, id, seq, window)
  call('HSET', N[kind], id, format('%.0f:%.0f', seq, T.now))
  call('ZADD', N[kind .. 't'], T.now, id)
  T.noted = T.noted or {}
  T.noted[kind] = window
end

-- Forgets what is out of its window, a portion at a time.
function P.tidy()
  for kind, window in pairs(T.noted) do
    local times = N[kind .. 't']
    local old = call('ZRANGEBYSCORE', times, '-inf', '(' .. format('%.0f', T.now - window), 'LIMIT', 0, PORTION)
    local much = call('ZCARD', times) - #old - P.SEEN
    if #old == 0 and much > 0 then old = call('ZRANGE', times, 0, min(much, PORTION) - 1) end
    if #old > 0 then
      send('HDEL', N[kind], old)
      send('ZREM', times, old)
    end
  end
end

-- The sequence of an earlier message that one repeats.
function P.repeats(message)
  local found = message[1] and seen('u', message[1], T.o.publish_id_window)
  if not found and message[2] and T.o.dedupe == 2 then
    found = seen('v', message[2], T.o.dedupe_window)
  end
  return found or nil
end

function P.identity()
  local seq = T.c.seq + 1
  T.c.seq, T.c.published = seq, T.c.published + 1
  return seq
end

-- Stores a message that was checked; its sequence, or that of the one that it repeats.
function P.publish(message)
  local id, key = message[1], message[2]
  if id or (key and T.o.dedupe == 2) then
    local first = P.repeats(message)
    if first then
      T.c.duplicates = T.c.duplicates + 1
      if id and not seen('u', id, T.o.publish_id_window) then
        P.note('u', id, first, T.o.publish_id_window)
      end
      return first
    end
  end
  local seq = P.identity()
  if id then P.note('u', id, seq, T.o.publish_id_window) end
  if key and T.o.dedupe == 2 then P.note('v', key, seq, T.o.dedupe_window) end
  if #T.subs == 0 and T.o.unsubscribed == 1 then
    T.c.dropped = T.c.dropped + 1
  else
    P.put(seq, P.head(message, id), ARGV[message[11]])
    if T.is_bounded then R.make_room() end
  end
  return seq
end

-- Stores a message in all subscriptions, or in `only` one.
function P.put(seq, head, body, only)
  local places = not only and head[6] and T.o.dedupe == 1 and P.take_over(head) or {}
  local subs = only and { only } or T.all()
  M.store(seq, head, body, #subs)
  local usual = M.usual(head, seq)
  for _, sub in ipairs(subs) do
    S.stand(sub, seq, head, places[sub.n] or usual, head[5])
  end
end

-- The older message with this key goes; where it was queued at least as urgently, its place is kept.
function P.take_over(head)
  local seq = tonumber(call('HGET', N.k, head[6]))
  if not seq then return nil end
  B.flush()
  local older = M.head(seq)
  if M.is_expired(older) then
    L.expire(seq, older)
    return nil
  end
  local places = {}
  for _, sub in ipairs(T.all()) do
    local place = S.queued(sub, seq, older)
    if place and floor(place / LANE) <= head[1] then places[sub.n] = place end
  end
  M.discard(seq, older, true)
  T.c.replaced = T.c.replaced + 1
  return places
end

-- A dead letter of another topic, or one that goes back to a subscription.
function P.once(message, publish_id, only)
  local first = seen('u', publish_id, max(T.o.publish_id_window, P.ONCE))
  if first then return { 'stored', first, false } end
  local head = P.head(message, message[1])
  if only then
    if head[6] and T.o.dedupe == 1 and call('HEXISTS', N.k, head[6]) == 1 then
      return { 'no', 'newer-key' }
    end
    local refused = T.is_bounded and R.refuses(1, head[2])
    if refused then return refused end
  elseif T.is_bounded then
    R.clear(head[2])
  end
  local seq = P.identity()
  P.note('u', publish_id, seq, max(T.o.publish_id_window, P.ONCE))
  P.put(seq, head, ARGV[message[11]], only)
  if only and T.is_bounded then R.make_room() end
  return { 'stored', seq, true }
end

-- How long dead letters are remembered at least: so long may a process take to settle one.
P.ONCE = 120000000

function P.inter(step)
  if T.is_full then return { 'no', 'oom' } end
  return P.once(step[2], step[3])
end

function P.restore(step)
  local sub = T.by_name[step[2]]
  if not sub then return { 'no', 'no-sub' } end
  if T.is_full then return { 'no', 'oom' } end
  return P.once(step[3], step[4], sub)
end
