-- R: bounds of the topic and of subscriptions.
lazy(R, function()

-- Most messages that one publish drops.
R.DROPS = 1000

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
  if not T.is_bounded then return end
  B.flush()
  if T.drops then
    for _ = 1, R.DROPS do
      if not over(T.o, T.c.messages, T.c.bytes, 0, 0) then break end
      local seq = victim(N.i)
      if not seq then break end
      M.discard(seq, M.head(seq), true)
      T.c.dropped = T.c.dropped + 1
      B.flush()
    end
  end
  for _, sub in ipairs(T.subs) do
    local options = S.options(sub)
    for _ = 1, options.drops and R.DROPS or 0 do
      if not over(options, S.waiting(sub), S.counter(sub, 'bytes'), 0, 0) then break end
      local seq = victim(sub.k.i)
      if not seq then break end
      M.settle(sub, seq, M.head(seq), true)
      T.c.dropped = T.c.dropped + 1
      B.flush()
    end
  end
end

-- Makes room for a dead letter: the oldest that nobody holds go.
function R.clear(bytes)
  local from = 0
  while over(T.o, T.c.messages, T.c.bytes, 1, bytes) do
    B.flush()
    local seqs = call('ZRANGEBYSCORE', N.q, '(' .. format('%.0f', from), '+inf', 'LIMIT', 0, 100)
    if #seqs == 0 then return end
    for _, text in ipairs(seqs) do
      local seq = tonumber(text)
      from = seq
      if not over(T.o, T.c.messages, T.c.bytes, 1, bytes) then return end
      if M.is_idle(seq) then
        M.discard(seq, M.head(seq), true)
        T.c.dropped = T.c.dropped + 1
      end
    end
  end
end

-- Counts anew what may be dropped of the topic.
function R.recount()
  call('UNLINK', N.i)
  T.c.idle = 0
  if not T.drops then return end
  local from = 0
  repeat
    local seqs = call('ZRANGEBYSCORE', N.q, '(' .. format('%.0f', from), '+inf', 'LIMIT', 0, PORTION)
    for _, text in ipairs(seqs) do
      from = tonumber(text)
      M.restock(from, M.head(from))
    end
  until #seqs == 0
end

-- The same for a subscription.
function R.recount_in(sub)
  call('UNLINK', sub.k.i)
  if not S.options(sub).drops then return end
  for _, key in ipairs({ sub.k.w, sub.k.b, sub.k.d }) do
    local from = 0
    repeat
      local seqs = call('ZRANGE', key, from, from + PORTION - 1)
      for _, text in ipairs(seqs) do
        local seq = tonumber(text)
        S.stock(sub, seq, S.entry(sub, seq, M.head(seq))[1])
      end
      from = from + PORTION
    until #seqs == 0
  end
  B.flush()
end

end)
