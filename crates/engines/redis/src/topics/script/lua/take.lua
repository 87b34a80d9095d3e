-- H: handing messages over.

-- A message's weight against what a consumer may be given.
local WEIGHT = 256

-- What is decided on one Take.
local function begin(step, sub, attachment)
  return { sub = sub, attachment = attachment, options = S.options(sub), count = step[4], bytes = step[5],
    any = step[6], auto = step[7], deliveries = {}, taken = 0, is_full = step[4] == 0, seqs = {} }
end

-- Whether a message may be handed over; what may not be goes elsewhere.
local function fits(take, seq, raw, e)
  local sub, head = take.sub, decode(raw)
  if M.is_expired(head) then
    L.expire(seq, head)
    return false
  end
  if take.options.max_attempts > 0 and e[2] >= take.options.max_attempts then
    L.give_up(sub, seq, head, 'exhausted')
    return false
  end
  local weight = head[2] + WEIGHT
  if weight > take.bytes and not (take.any and take.taken == 0) then
    take.is_full, take.is_too_large = true, true
    return false
  end
  take.bytes = take.bytes - weight
  return head
end

-- Hands a message over that stands in `w`, or in `b` for this consumer alone.
local function hand_over(take, seq, raw, head, e)
  local sub, k = take.sub, take.sub.k
  local attempts, ticket = e[2] + 1, T.c.ticket + 1
  T.c.ticket = ticket
  take.taken = take.taken + 1
  take.seqs[take.taken] = seq
  local told = take.deliveries
  told[#told + 1] = { seq, ticket, attempts, raw }
  if attempts > 1 then S.count(sub, 'redelivered', 1) end
  S.count(sub, 'bytes', -head[2])
  S.unstock(sub, seq)
  local text = format('%.0f', seq)
  B.put('ZREM', k.w, text)
  if head[7] then
    B.put('ZREM', k.b, text)
    G.unwait(sub, head[7], e[1], seq)
  end
  if take.auto then
    B.put('HDEL', k.e, text)
    return
  end
  local deadline = false
  if take.options.ack_timeout > 0 then
    deadline = min(T.now + take.options.ack_timeout, NEVER)
    B.put('ZADD', N.t, deadline, sub.n .. ':' .. text)
    T.due_at(deadline)
  end
  local entry = { e[1], attempts, e[3] or false, take.attachment, ticket, deadline }
  B.put('HSET', k.e, text, encode(unpack(entry)))
  B.put('ZADD', k.f, text, text)
  B.put('ZADD', k.h, '0', S.holding(take.attachment, text))
  if head[7] then G.fly(sub, head[7], entry, seq) end
  if T.is_stocked() then M.restock(seq, head) end
end

-- Settles what was handed over to somebody who acknowledges nothing. The bodies stay until the process
-- asks again, so that the answer can be given again.
local function settle(take)
  B.flush()
  T.keeps = true
  for i, seq in ipairs(take.seqs) do
    M.unref(seq, decode(take.deliveries[i][4]))
  end
  T.keeps = false
  S.count(take.sub, 'acked', take.taken)
end

-- Those at the front that no group holds back; false if there is nothing.
local function take_front(take)
  local sub = take.sub
  B.flush()
  local found = call('ZRANGE', sub.k.w, 0, min(take.count - take.taken, PORTION) - 1)
  if #found == 0 then return false end
  local raws, entries = M.heads(found), fields(sub.k.e, found)
  for i, text in ipairs(found) do
    local seq, raw = tonumber(text), raws[i]
    local e = entries[i] and { decode(entries[i]) } or { M.usual(decode(raw), seq), 0, false }
    local head = fits(take, seq, raw, e)
    if take.is_full then return true end
    if head then hand_over(take, seq, raw, head, e) end
  end
  return true
end

-- The first that this consumer may take where groups matter: of all, or of those that are only for it.
local function take_one(take)
  local sub = take.sub
  T.settle()
  local id = format('%012.0f', take.attachment)
  local free = call('ZRANGE', sub.k.w, 0, 0, 'WITHSCORES')
  local own = call('ZRANGEBYLEX', sub.k.own, '[' .. id, '(' .. id .. ':', 'LIMIT', 0, 1)[1]
  local seq, place = tonumber(free[1]), tonumber(free[2])
  if own then
    local owned_place, owned_seq = G.place(own, #id)
    if not place or owned_place < place then seq = owned_seq end
  end
  if not seq then return false end
  local raw = call('HGET', N.h, seq)
  local e = S.entry(sub, seq, decode(raw))
  local head = fits(take, seq, raw, e)
  if head then
    hand_over(take, seq, raw, head, e)
    if take.auto then B.flush() end
  end
  return true
end

function H.take(step)
  local sub = T.by_name[step[3]]
  if not sub then return { 'no', 'no-sub' } end
  local attachment = W.attachment(sub, step[2])
  if not attachment then return { 'no', 'no-consumer' } end
  local take = begin(step, sub, attachment)
  T.settle()
  local is_waiting = take.options.delivery == 1 and S.held_by(sub, attachment) > 0
  local is_empty = sub.filled ~= nil
  local one = call('EXISTS', sub.k.gl) == 1 and take_one or take_front
  while not is_waiting and not is_empty and not take.is_full do
    is_empty = not one(take)
    take.is_full = take.is_full or take.taken >= take.count
  end
  if take.auto then settle(take) end
  T.settle()
  if is_empty then call('ZADD', sub.k.y, 'NX', T.now, T.process) else T.stir(sub) end
  local bodies = fields(N.m, take.seqs)
  local first = #T.wanted
  for i, seq in ipairs(take.seqs) do
    T.wanted[first + i], T.bodies[first + i] = seq, bodies[i]
  end
  local more = not is_empty and (take.is_too_large or call('ZCARD', sub.k.w) > 0)
  return { 'taken', sub.n, more, take.deliveries, first + 1 }
end
