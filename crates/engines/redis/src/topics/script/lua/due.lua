-- D: what happens by itself as time passes. What is over at a time is so after its microsecond.

-- Members of a set whose time is over, at most a portion.
local function over(key)
  return call('ZRANGEBYSCORE', key, '-inf', '(' .. format('%.0f', T.now), 'LIMIT', 0, PORTION)
end

-- The subscription and sequence that a member of `t` or `d` names.
local function named(member)
  local number, seq = string.match(member, '(%d+):(%d+)')
  return T.by_number[tonumber(number)], tonumber(seq)
end

local function expire()
  local found = over(N.x)
  for _, text in ipairs(found) do
    local seq = tonumber(text)
    L.expire(seq, M.head(seq))
  end
  return #found == PORTION
end

local function time_out()
  local found = over(N.t)
  for _, member in ipairs(found) do
    local sub, seq = named(member)
    local head = M.head(seq)
    L.end_attempt(sub, seq, head, S.entry(sub, seq, head), 'retry', true)
  end
  return #found == PORTION
end

local function end_delays()
  local found = over(N.d)
  for _, member in ipairs(found) do
    local sub, seq = named(member)
    local head = M.head(seq)
    local place = S.entry(sub, seq, head)[1]
    B.put('ZREM', N.d, member)
    B.put('ZREM', sub.k.d, seq)
    if head[7] then
      G.unblock(sub, head[7], place, seq)
      G.wait(sub, head[7], place, seq)
    else
      B.put('ZADD', sub.k.w, place, seq)
      T.stir(sub)
    end
  end
  B.flush()
  return #found == PORTION
end

-- Processes that were silent for too long. Whatever waits may have been meant for them. The one that asks was looked at
-- before, if it has consumers; one that has none any more renews nothing.
local function end_leases()
  for _, process in ipairs(over(N.l)) do
    if process ~= T.process or not T.attached then
      C.depart(process)
      for _, sub in ipairs(T.subs) do T.stir(sub) end
    end
  end
end

-- What those hold who have ended, and was too much at once.
local function give_back()
  if T.c.rest == 0 then return false end
  local member = call('SRANDMEMBER', N.rest)
  local sub, attachment = named(member)
  call('SREM', N.rest, member)
  T.c.rest = T.c.rest - 1
  if sub then C.give_back(sub, attachment, S.held_by(sub, attachment)) end
  return T.c.rest > 0
end

-- Copies what is stored into subscriptions that are to have it.
function D.fill(sub)
  B.flush()
  local low, high = '(' .. format('%.0f', sub.filled), '(' .. format('%.0f', sub.below)
  local seqs = call('ZRANGEBYSCORE', N.q, low, high, 'LIMIT', 0, PORTION)
  local heads = M.heads(seqs)
  for i, text in ipairs(seqs) do
    local seq, head = tonumber(text), decode(heads[i])
    sub.filled = seq
    local leaves = T.c.letters > 0 and tonumber(call('HGET', N.og, seq))
    if leaves ~= M.refs(seq) then
      M.ref(seq)
      S.stand(sub, seq, head, M.usual(head, seq), head[5] and head[5] > T.now and head[5])
    end
  end
  if #seqs < PORTION then
    sub.filled, sub.below = nil, nil
    T.stir(sub)
  else
    T.c.due = 0
  end
  B.flush()
end

local function fill()
  if not T.is_filling then return false end
  for _, sub in ipairs(T.subs) do
    if sub.filled then D.fill(sub) end
  end
  T.define(true)
  return T.is_filling
end

local function earliest(key)
  local found = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return tonumber(found[2]) or NEVER
end

function D.run()
  T.c.due = NEVER
  local more = expire()
  more = time_out() or more
  more = end_delays() or more
  end_leases()
  more = give_back() or more
  more = fill() or more
  T.settle()
  if more or T.c.due == 0 then
    T.c.due = 0
    return
  end
  T.due_at(min(earliest(N.x), earliest(N.t), earliest(N.d), earliest(N.l)))
  if T.c.letters > 0 and T.c.carried > T.now then T.due_at(T.c.carried) end
end
