-- Where messages are in a subscription: waiting (`w`, `b`), delayed (`d`), in flight (`f`) or leaving
-- (`o`). What was delivered, or stands elsewhere than usual, has an entry in `e`: { place, attempts,
-- first failure }, and in flight moreover the attachment that holds it, its ticket and its deadline; one
-- value after the other.

-- Names a delivery among those of an attachment.
function S.holding(attachment, text)
  return format('%012.0f', attachment) .. text
end

-- Whatever has been delivered to an attachment, up to so many.
function S.holdings(sub, attachment, limit)
  B.flush()
  local id = format('%012.0f', attachment)
  local found = call('ZRANGEBYLEX', sub.k.h, '[' .. id, '(' .. id .. ':', 'LIMIT', 0, limit)
  for i = 1, #found do found[i] = tonumber(string.sub(found[i], 13)) end
  return found
end

function S.held_by(sub, attachment)
  B.flush()
  local id = format('%012.0f', attachment)
  return call('ZLEXCOUNT', sub.k.h, '[' .. id, '(' .. id .. ':')
end

function S.stock(sub, seq, place)
  if S.is_stocked(sub) then B.put('ZADD', sub.k.i, floor(place / LANE) * LANE + seq, seq) end
end

function S.unstock(sub, seq)
  if S.is_stocked(sub) then B.put('ZREM', sub.k.i, seq) end
end

-- Lets a message wait, until `at` if that is given; `e` is its entry if it was delivered before.
function S.stand(sub, seq, head, place, at, e)
  S.count(sub, 'bytes', head[2])
  S.stock(sub, seq, place)
  if e or place ~= M.usual(head, seq) then
    B.put('HSET', sub.k.e, seq, encode(place, e and e[2] or 0, e and e[3] or false))
  end
  if at then
    B.put('ZADD', sub.k.d, seq, seq)
    B.put('ZADD', N.d, at, sub.n .. ':' .. format('%.0f', seq))
    T.due_at(at)
    if head[7] then G.block(sub, head[7], place, seq) end
  elseif head[7] then
    G.wait(sub, head[7], place, seq)
  else
    B.put('ZADD', sub.k.w, place, seq)
    T.stir(sub)
  end
end

function S.entry(sub, seq, head)
  local raw = call('HGET', sub.k.e, seq)
  return raw and { decode(raw) } or { M.usual(head, seq), 0, false }
end

-- Takes a message out that doesn't leave; its entry, or nil if it isn't there. `tells`: whoever holds
-- it is told.
function S.withdraw(sub, seq, head, tells)
  B.flush()
  local e = S.entry(sub, seq, head)
  if e[4] then
    S.end_flight(sub, seq, head, e)
    if tells then W.forget(sub, seq, e) end
    return e
  end
  if call('ZREM', sub.k.w, seq) == 1 then
    if head[7] then G.unwait(sub, head[7], e[1], seq) end
  elseif head[7] and call('ZREM', sub.k.b, seq) == 1 then
    G.unwait(sub, head[7], e[1], seq)
  elseif call('ZREM', sub.k.d, seq) == 1 then
    call('ZREM', N.d, sub.n .. ':' .. format('%.0f', seq))
    if head[7] then G.unblock(sub, head[7], e[1], seq) end
  else
    return nil
  end
  call('HDEL', sub.k.e, seq)
  S.count(sub, 'bytes', -head[2])
  S.unstock(sub, seq)
  return e
end

function S.end_flight(sub, seq, head, e)
  local k, text = sub.k, format('%.0f', seq)
  B.put('HDEL', k.e, text)
  B.put('ZREM', k.f, text)
  B.put('ZREM', k.h, S.holding(e[4], text))
  if e[6] then B.put('ZREM', N.t, sub.n .. ':' .. text) end
  if head[7] then G.land(sub, head[7], e, seq) end
end

-- The place of what waits or is delayed; nil if it does neither.
function S.queued(sub, seq, head)
  B.flush()
  local is_queued = call('ZSCORE', sub.k.w, seq) or call('ZSCORE', sub.k.d, seq)
    or (head[7] and call('ZSCORE', sub.k.b, seq))
  return is_queued and S.entry(sub, seq, head)[1]
end
