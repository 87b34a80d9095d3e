-- L: messages that a subscription gives up. Those that have where to go are in the outbox: `oe` says
-- what and why, `o` in which order, the subscription's `o` which entry it is, and `og` in how many
-- subscriptions a message leaves. One process at a time carries some of them away, so that they come in
-- their order.

-- How long the one who has taken some may need, in microseconds.
L.LEASE = 5000000

-- A message leaves a subscription; false if it isn't there.
function L.leave(sub, seq, head, reason, tells)
  local e = S.withdraw(sub, seq, head, tells)
  if not e then return false end
  T.c.stamp = T.c.stamp + 1
  local stamp = format('%016.0f', T.c.stamp)
  local target = S.options(sub).dead_letter
  call('ZADD', N.o, T.c.stamp, stamp)
  call('HSET', N.oe, stamp, encode({ sub.n, seq, reason, e[2], e[3] or T.now, T.now, target }))
  call('HSET', sub.k.o, seq, stamp)
  call('HINCRBY', N.og, seq, 1)
  T.c.letters = T.c.letters + 1
  M.restock(seq, head)
  M.strip_if_left(seq, head)
  return true
end

-- A subscription gives a message up.
function L.give_up(sub, seq, head, reason, tells)
  if S.buries(sub) then return L.leave(sub, seq, head, reason, tells) end
  if M.settle(sub, seq, head, tells) then T.c.dropped = T.c.dropped + 1 end
end

-- A delivery ends without acknowledgement. `wait` is the time from which on the message is available
-- again, 'retry' for what the subscription says, or nil for at once.
function L.end_attempt(sub, seq, head, e, wait, tells)
  local options = S.options(sub)
  if options.max_attempts > 0 and e[2] >= options.max_attempts then
    return L.give_up(sub, seq, head, 'exhausted', tells)
  end
  if wait == 'retry' then
    wait = nil
    if options.retry_min then
      local span = min(options.retry_min * 2 ^ min(e[2] - 1, 31), options.retry_max)
      if span > 0 then wait = min(T.now + span, NEVER) end
    end
  end
  local failed = e[3] or (options.dead_letter and T.now) or false
  S.withdraw(sub, seq, head, tells)
  S.stand(sub, seq, head, e[1], wait, { e[1], e[2], failed })
  M.restock(seq, head)
end

-- A message's time is over.
function L.expire(seq, head)
  local has_left = false
  for _, sub in ipairs(T.all()) do
    if S.options(sub).dead_letter_expired == 1 and S.buries(sub) then
      has_left = L.leave(sub, seq, head, 'expired', true) or has_left
    end
  end
  if M.discard(seq, head, true) > 0 or has_left then T.c.expired = T.c.expired + 1 end
end

-- Whether there are dead letters that nobody carries.
function L.waits()
  return T.c.letters > 0 and T.c.carried <= T.now
end

-- Dead letters to carry away.
function L.outbox(step)
  local letters = {}
  local found = L.waits() and call('ZRANGE', N.o, 0, min(step[2], PORTION) - 1) or {}
  if #found > 0 then
    T.c.carried, T.c.carrying = T.now + L.LEASE, #found
    T.due_at(T.c.carried)
  end
  for _, stamp in ipairs(found) do
    local letter = decode(call('HGET', N.oe, stamp))
    local sub = T.by_number[letter[1]]
    local head = call('HGET', N.h, letter[2])
    letters[#letters + 1] = { tonumber(stamp), letter[1], sub and sub.name or false,
      S.buries(sub) and S.options(sub).dead_letter or letter[7], letter[3], letter[4], letter[5],
      letter[6], letter[2], head, T.body(letter[2]) }
  end
  return { 'letters', letters }
end

-- Takes an entry out; the subscription if it was there.
function L.remove(stamp)
  local raw = call('HGET', N.oe, stamp)
  if not raw then return nil end
  local letter = decode(raw)
  local sub, seq = T.by_number[letter[1]], letter[2]
  local head = M.head(seq)
  call('HDEL', N.oe, stamp)
  call('ZREM', N.o, stamp)
  call('HDEL', sub.k.o, seq)
  if call('HINCRBY', N.og, seq, -1) == 0 then call('HDEL', N.og, seq) end
  T.c.letters = T.c.letters - 1
  M.unref(seq, head)
  return sub
end

function L.settle(step)
  local entries = step[2]
  local settled = 0
  for i = 1, #entries, 2 do
    local sub = L.remove(format('%016.0f', entries[i]))
    if sub then
      settled = settled + 1
      T.c.carrying = T.c.carrying - 1
      if entries[i + 1] then
        T.c.dead = T.c.dead + 1
        S.count(sub, 'dead', 1)
      else
        T.c.dropped = T.c.dropped + 1
      end
    end
  end
  if T.c.carrying <= 0 then T.c.carried = 0 end
  return { 'settled', settled }
end
