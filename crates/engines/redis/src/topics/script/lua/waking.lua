-- W: waking and telling. `f:PROCESS` is what a process is to be told. Who found nothing is in the
-- subscription's `y` until it is woken.

-- Whose an attachment is: { subscription, consumer, process }; nil if it has ended.
function W.owner(attachment)
  local raw = call('HGET', N.a, attachment)
  return raw and decode(raw)
end

-- The attachments of a consumer of this process, each behind the number of its subscription.
function W.of(consumer)
  local raw = call('HGET', N['p:' .. T.process], consumer)
  return raw and decode(raw) or {}
end

function W.attachment(sub, consumer)
  local list = W.of(consumer)
  for i = 1, #list, 2 do
    if list[i] == sub.n then return list[i + 1] end
  end
end

function W.tell(process, what)
  call('RPUSH', N['f:' .. process], encode(what))
  if process ~= T.process then W.wake(process) end
end

-- How many heard it, as far as this server knows.
function W.wake(process)
  return call('PUBLISH', T.wake .. process, T.name)
end

-- A delivery isn't one any more, and its holder is to know.
function W.forget(sub, seq, e)
  local owner = W.owner(e[4])
  if owner then W.tell(owner[3], { owner[2], sub.n, seq, e[5] }) end
end

-- What this process is to be told: deliveries forgotten, consumers ended. Where it was woken, it is
-- here now, and somebody else may be needed.
function W.inbox()
  local forgotten, ended = {}, {}
  local box = N['f:' .. T.process]
  local told = call('LRANGE', box, 0, -1)
  if #told > 0 then call('DEL', box) end
  for _, raw in ipairs(told) do
    local what = decode(raw)
    if #what == 4 then
      for i = 1, 4 do forgotten[#forgotten + 1] = what[i] end
    elseif #what == 2 then
      ended[#ended + 1] = what[1]
      ended[#ended + 1] = what[2]
    elseif T.by_number[what[1]] then
      T.stir(T.by_number[what[1]])
    end
  end
  return forgotten, ended
end

-- Wakes those who found nothing, if something is there now: one, and more if that one may not take
-- it all or nobody heard.
function W.wake_all()
  for attachment, sub in pairs(T.roused) do
    local owner = W.owner(attachment)
    if owner and call('ZREM', sub.k.y, owner[3]) == 1 then
      call('RPUSH', N['f:' .. owner[3]], encode({ sub.n }))
      W.wake(owner[3])
    end
  end
  for _, sub in pairs(T.stirred) do
    if T.by_number[sub.n] == sub and not sub.filled then
      local there = call('ZCARD', sub.k.w)
      local hungry = there > 0 and call('ZRANGE', sub.k.y, 0, -1) or {}
      for _, process in ipairs(hungry) do
        call('ZREM', sub.k.y, process)
        -- Also the one that asks: it may have no room by now, and then leaves it to others when it asks next.
        call('RPUSH', N['f:' .. process], encode({ sub.n }))
        if W.wake(process) > 0 and there <= PORTION then break end
      end
    end
  end
end
