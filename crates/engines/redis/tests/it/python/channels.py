"""A program that uses channels as any other does, and reads envelopes from their description alone (decision 169)."""

import json
import sys

import redis

MAGIC = b"\0trunkline1\0"


def open_envelope(wire):
    """What an envelope says, or nothing if it is a plain payload."""
    if not wire.startswith(MAGIC):
        return None, wire
    at = len(MAGIC)
    length = int.from_bytes(wire[at : at + 4], "big")
    at += 4
    return json.loads(wire[at : at + length]), wire[at + length :]


def main():
    url, count = sys.argv[1], int(sys.argv[2])
    client = redis.Redis.from_url(url)
    heard = client.pubsub()
    heard.subscribe("to-python")
    assert heard.get_message(timeout=60)["type"] == "subscribe"
    client.publish("from-python", "ready")
    plain, enveloped = 0, []
    for message in heard.listen():
        head, payload = open_envelope(message["data"])
        if head is not None:
            enveloped.append((head["content_type"], payload.decode()))
        elif payload == b"end":
            break
        else:
            assert json.loads(payload) == {"n": plain}, payload
            plain += 1
            client.publish("from-python", payload)
    assert plain == count
    # Plain bytes, and an envelope of its own.
    client.publish("from-python", b"\xff\x00")
    head = json.dumps({"content_type": "text/html", "headers": [["a", "1"]]}).encode()
    client.publish("from-python", MAGIC + len(head).to_bytes(4, "big") + head + b"<p>")
    print(f"{plain} plain, in envelopes {enveloped}")


main()
