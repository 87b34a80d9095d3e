"""A processor of rpcprocessor's wire, from its description: asks the handler `h` for N calls of `echo`, one after
the other. Arguments: URL, N."""

import json
import sys
import uuid

import redis

url, count = sys.argv[1], int(sys.argv[2])
server = redis.Redis.from_url(url, decode_responses=True)
for n in range(count):
    call = str(uuid.uuid4())
    request = {"jsonrpc": "2.0", "method": "echo", "params": {"n": n}, "id": call}
    server.hset("rpcs.db", call, json.dumps(request))
    server.lpush("h", call)
    popped = server.brpop(call, timeout=30)
    assert popped, "no answer"
    assert json.loads(popped[1]) == {"jsonrpc": "2.0", "result": {"n": n}, "id": call}, popped
    assert server.hget("rpcs.db", call + "_response") == popped[1]
print(f"{count} answers")
