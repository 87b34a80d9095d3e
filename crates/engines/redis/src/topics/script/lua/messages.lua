-- M: stored messages. A head is { priority, payload bytes, published, expires, deliver, key, group,
-- publish id }; false stands for none. `r` counts the subscriptions that have not settled a message,
-- if that is not one.

function M.heads(seqs)
  return fields(N.h, seqs)
end

function M.head(seq)
  local raw = call('HGET', N.h, seq)
  return raw and decode(raw)
end

function M.is_expired(head)
  return head[4] and head[4] < T.now
end

-- Where a message stands unless it took over another one's place.
function M.usual(head, seq)
  return head[1] * LANE + seq
end

function M.refs(seq)
  return tonumber(call('HGET', N.r, seq)) or 1
end

-- Stores a message that so many subscriptions will have.
function M.store(seq, head, body, refs)
  local text = format('%.0f', seq)
  B.put('HSET', N.h, text, encode(head))
  B.put('HSET', N.m, text, body)
  B.put('ZADD', N.q, text, text)
  if refs > 1 then B.put('HSET', N.r, seq, refs) end
  if head[4] then
    B.put('ZADD', N.x, head[4], seq)
    T.due_at(head[4])
  end
  if head[6] and T.o.dedupe == 1 then call('HSET', N.k, head[6], seq) end
  T.c.messages, T.c.bytes = T.c.messages + 1, T.c.bytes + head[2]
  if T.is_stocked() then
    B.put('ZADD', N.i, M.usual(head, seq), seq)
    T.c.idle = T.c.idle + head[2]
  end
end

-- One subscription more has it.
function M.ref(seq)
  call('HSET', N.r, seq, M.refs(seq) + 1)
end

-- One subscription is done with it; it is freed after the last.
function M.unref(seq, head)
  if #T.subs > 1 then
    local refs = M.refs(seq) - 1
    if refs > 1 then call('HSET', N.r, seq, refs) else call('HDEL', N.r, seq) end
    if refs > 0 then
      M.restock(seq, head)
      M.strip_if_left(seq, head)
      return
    end
  end
  M.free(seq, head)
end

function M.free(seq, head)
  local text = format('%.0f', seq)
  if T.keeps then
    T.later[#T.later + 1] = seq
  else
    B.put('HDEL', N.h, text)
    B.put('HDEL', N.m, text)
  end
  B.put('ZREM', N.q, text)
  if head[4] then B.put('ZREM', N.x, seq) end
  M.lose_key(seq, head)
  if T.is_stocked() then M.unstock(seq, head) end
  T.c.messages, T.c.bytes = T.c.messages - 1, T.c.bytes - head[2]
end

function M.lose_key(seq, head)
  if head[6] and T.o.dedupe == 1 and tonumber(call('HGET', N.k, head[6])) == seq then
    call('HDEL', N.k, head[6])
  end
end

-- What only leaves has no time any more, and no key.
function M.strip_if_left(seq, head)
  if T.c.letters > 0 and tonumber(call('HGET', N.og, seq)) == M.refs(seq) then
    call('ZREM', N.x, seq)
    M.lose_key(seq, head)
  end
end

-- Whether nobody holds a message and it leaves nowhere.
function M.is_idle(seq)
  B.flush()
  for _, sub in ipairs(T.all()) do
    if call('ZSCORE', sub.k.f, seq) or call('HEXISTS', sub.k.o, seq) == 1 then return false end
  end
  return true
end

function M.unstock(seq, head)
  B.flush()
  if call('ZREM', N.i, seq) == 1 then T.c.idle = T.c.idle - head[2] end
end

-- Notes whether a message may be dropped, if that is ever asked.
function M.restock(seq, head)
  if not T.is_stocked() then return end
  if not M.is_idle(seq) then
    M.unstock(seq, head)
  elseif call('ZADD', N.i, M.usual(head, seq), seq) == 1 then
    T.c.idle = T.c.idle + head[2]
  end
end

-- Takes a message out of a subscription, and frees it if that was the last; false if it isn't there.
function M.settle(sub, seq, head, tells)
  if not S.withdraw(sub, seq, head, tells) then return false end
  M.unref(seq, head)
  return true
end

-- Takes a message out of all subscriptions in which it doesn't leave; how many these were.
function M.discard(seq, head, tells)
  local left = 0
  for _, sub in ipairs(T.all()) do
    if M.settle(sub, seq, head, tells) then left = left + 1 end
  end
  return left
end
