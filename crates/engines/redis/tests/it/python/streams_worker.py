"""A worker of the consumer-groups wire, from its description: `echo` returns its arguments, `fail` an
envelope with an error. Ends after N calls. Arguments: URL, N."""

import json
import sys
import time

import redis

url, count = sys.argv[1], int(sys.argv[2])
server = redis.Redis.from_url(url, decode_responses=True)
try:
    server.xgroup_create("general", "processors", id="0", mkstream=True)
except redis.ResponseError as error:
    if not str(error).startswith("BUSYGROUP"):
        raise
done = 0
while done < count:
    streams = server.xreadgroup("processors", "python-0", {"general": ">"}, count=1, block=2500)
    for _, entries in streams or []:
        for entry, fields in entries:
            if float(fields["deadline"]) > time.time():
                args = json.loads(fields["args"])
                if fields["rpc"] == "fail":
                    response = {"error": {"code": 7, "message": "on purpose"}}
                else:
                    response = {"result": args}
                # As existing workers do: all fields, and the response.
                reply = dict(fields, args=args, response=response)
                server.publish(fields["who"], json.dumps(reply))
            server.xack("general", "processors", entry)
            done += 1
print(f"{done} calls")
