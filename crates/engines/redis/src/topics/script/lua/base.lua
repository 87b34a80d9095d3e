-- A topic of Trunkline. Everything it has lies under keys that begin alike; KEYS[1] is its definition.
-- ARGV[1] is a request in MessagePack, what follows are bodies. See docs/redis.md for the keys.

if redis.replicate_commands then redis.replicate_commands() end

local call, encode, decode, format = redis.call, cmsgpack.pack, cmsgpack.unpack, string.format
local floor, min, max = math.floor, math.min, math.max

-- The format of the keys, and how many values a definition has in it.
local FORMAT, DEFINED = 1, 24
-- Positions of a priority: a place is priority * LANE + position.
local LANE = 17592186044416
-- A time that never comes, and the largest number that stays exact.
local NEVER = 9007199254740991
-- Most that is done for something that may be large, so that nobody waits long for it.
local PORTION = 1000
-- Arguments of one call: what Lua can unpack.
local ARGUMENTS = 4000

local BASE = string.sub(KEYS[1], 1, -4)

-- Keys by what is behind their common part, which is at 0.
local NAMES = { __index = function(known, name)
  local key = known[0] .. name
  known[name] = key
  return key
end }

local function names(prefix)
  return setmetatable({ [0] = prefix }, NAMES)
end

local N = names(BASE)

-- A command with any number of arguments; answers that are numbers are added up.
local function send(command, key, arguments)
  local count = #arguments
  if count <= ARGUMENTS then
    return call(command, key, unpack(arguments))
  end
  local total = 0
  for first = 1, count, ARGUMENTS do
    local answer = call(command, key, unpack(arguments, first, min(first + ARGUMENTS - 1, count)))
    if type(answer) == 'number' then total = total + answer end
  end
  return total
end

-- The values of any number of fields of a hash; false for those that aren't there.
local function fields(key, wanted)
  local count = #wanted
  if count == 0 then return {} end
  if count <= ARGUMENTS then
    return call('HMGET', key, unpack(wanted))
  end
  local values = {}
  for first = 1, count, ARGUMENTS do
    local last = min(first + ARGUMENTS - 1, count)
    local part = call('HMGET', key, unpack(wanted, first, last))
    for i = 1, #part do values[first + i - 1] = part[i] end
  end
  return values
end

-- Writes that wait for each other, so that many of a kind become one call. What reads something that
-- may wait here calls B.flush first. What was read ahead (`ahead`) is right until then.
local B = { order = {}, by = {}, gone = {} }

function B.put(command, key, first, second)
  local by = B.by[key]
  if not by then
    by = {}
    B.by[key] = by
  end
  local arguments = by[command]
  if not arguments then
    arguments = {}
    by[command] = arguments
    B.order[#B.order + 1] = { command, key, arguments }
  end
  local count = #arguments
  arguments[count + 1] = first
  if second ~= nil then arguments[count + 2] = second end
end

function B.flush()
  B.ahead = nil
  local order = B.order
  if #order == 0 then return end
  B.order, B.by, B.gone = {}, {}, {}
  for i = 1, #order do send(order[i][1], order[i][2], order[i][3]) end
end
