-- R: bounds of the topic and of subscriptions.

-- Most messages that one publish drops. All publishes of a request together drop no more, but for two
-- each, so that in the end fewer go in than out.
R.DROPS = 1000
-- Most messages that one request looks at to make room for dead letters.
R.LOOKS = 10000

local dropped, looked = 0, 0

local function over(bound, messages, bytes, added, size)
  if bound.max_messages and messages + added > bound.max_messages then
    return 'messages', bound.max_messages
  end
  if bound.max_bytes and bytes + size > bound.max_bytes then return 'bytes', bound.max_bytes end
end

-- Why so many messages of so many bytes more have no room, even if all goes that may.
function R.refuses(added, size)
  local o, messages, bytes = T.o, T.c.messages, T.c.bytes
  if T.drops then
    B.flush()
    messages, bytes = messages - call('ZCARD', N.i), bytes - T.c.idle
  end
  local limit, most = over(o, messages, bytes, added, size)
  if limit then return { 'no', 'full', limit, most, T.drops } end
  for _, sub in ipairs(T.subs) do
    local options = S.options(sub)
    if options.is_bounded then
      messages, bytes = 0, 0
      if options.overflow == 0 then messages, bytes = S.waiting(sub), S.counter(sub, 'bytes') end
      limit, most = over(options, messages, bytes, added, size)
      if limit then return { 'no', 'sub-full', sub.name, limit, most } end
    end
  end
end

-- The least urgent of a set by places, and of those the oldest.
local function victim(key)
  local last = call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if not last[1] then return nil end
  local lane = floor(tonumber(last[2]) / LANE) * LANE
  return tonumber(call('ZRANGEBYSCORE', key, lane, '+inf', 'LIMIT', 0, 1)[1])
end

-- Drops what is too much after a publish, where that is asked for.
function R.make_room()
  B.flush()
  if T.drops then
    for _ = 1, max(R.DROPS - dropped, 2) do
      if not over(T.o, T.c.messages, T.c.bytes, 0, 0) then break end
      local seq = victim(N.i)
      if not seq then break end
      M.discard(seq, M.head(seq), true)
      T.c.dropped, dropped = T.c.dropped + 1, dropped + 1
      B.flush()
    end
  end
  for _, sub in ipairs(T.subs) do
    local options = S.options(sub)
    for _ = 1, options.drops and max(R.DROPS - dropped, 2) or 0 do
      if not over(options, S.waiting(sub), S.counter(sub, 'bytes'), 0, 0) then break end
      local seq = victim(sub.k.i)
      if not seq then break end
      M.settle(sub, seq, M.head(seq), true)
      T.c.dropped, dropped = T.c.dropped + 1, dropped + 1
      B.flush()
    end
  end
end

-- Makes room for a dead letter: the oldest that nobody holds go.
function R.clear(bytes)
  local from = 0
  while looked < R.LOOKS and over(T.o, T.c.messages, T.c.bytes, 1, bytes) do
    B.flush()
    local seqs = call('ZRANGEBYSCORE', N.q, '(' .. format('%.0f', from), '+inf', 'LIMIT', 0, 100)
    if #seqs == 0 then return end
    for _, text in ipairs(seqs) do
      local seq = tonumber(text)
      from, looked = seq, looked + 1
      if not over(T.o, T.c.messages, T.c.bytes, 1, bytes) then return end
      if M.is_idle(seq) then
        M.discard(seq, M.head(seq), true)
        T.c.dropped = T.c.dropped + 1
      end
    end
  end
end

-- Notes what may be dropped of the next portion of all that is stored, behind a sequence; the last of
-- these, or nil if there are no more. From the first portion on until `settle_stock` whatever happens
-- keeps the notes right, so that those about the messages that were passed stay so.
function R.stock_some(after)
  if T.c.stocking == 0 then T.c.stocking, after = 1, 0 end
  B.flush()
  local seqs = call('ZRANGEBYSCORE', N.q, '(' .. format('%.0f', after), '+inf', 'LIMIT', 0, PORTION)
  local heads, subs = M.heads(seqs), T.all()
  for i, text in ipairs(seqs) do
    local seq, head = tonumber(text), decode(heads[i])
    M.restock(seq, head)
    for _, sub in ipairs(subs) do
      local place = S.queued(sub, seq, head)
      if place then S.stock(sub, seq, place) end
    end
  end
  B.flush()
  return #seqs == PORTION and tonumber(seqs[PORTION]) or nil
end

-- What drops has its notes, the others need none.
function R.settle_stock()
  B.flush()
  T.c.stocking = 0
  if not T.drops then
    call('UNLINK', N.i)
    T.c.idle = 0
  end
  for _, sub in ipairs(T.all()) do
    if not S.options(sub).drops then call('UNLINK', sub.k.i) end
  end
end
