"""A gateway of the consumer-groups wire, from its description: asks for N calls of `echo`, 32 at a time, and
checks every answer. Arguments: URL, N."""

import json
import sys
import time
import uuid

import redis

url, count = sys.argv[1], int(sys.argv[2])
server = redis.Redis.from_url(url, decode_responses=True)
who = str(uuid.uuid4()).upper()
replies = server.pubsub()
replies.subscribe(who)
assert replies.get_message(timeout=30)["type"] == "subscribe"

pending = {}
sent = answered = errors = 0
while answered < count:
    while sent < count and len(pending) < 32:
        sent += 1
        method = "echo" if sent % 10 else "fail"
        args = {"args": {"n": sent, "text": "žluťoučký"}}
        pending[str(sent)] = (method, args)
        fields = {
            "rpc": method,
            "who": who,
            "deadline": int(time.time()) + 30,
            "args": json.dumps(args),
            "message_id": sent,
        }
        server.xadd("general", fields, maxlen=100000, approximate=True)
    message = replies.get_message(timeout=30)
    assert message, f"no reply; {len(pending)} calls wait"
    if message["type"] != "message":
        continue
    reply = json.loads(message["data"])
    method, args = pending.pop(str(reply["message_id"]))
    response = reply["response"]
    if method == "fail":
        assert response["error"] == {"code": 7, "message": "on purpose"}, response
        errors += 1
    else:
        assert response == {"result": args}, response
    answered += 1
print(f"{answered} answers, {errors} of them errors")
