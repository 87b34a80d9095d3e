"""What a program that uses stomp.py gets from a STOMP server, in one of the three versions.

usage: stomp_py.py HOST PORT VERSION [rabbitmq]

Prints a line for every check that held; the first that doesn't ends it. A line that begins with `> ` asks whoever runs
it to do something to the server, and a line on standard input says that it is done.
"""

import queue
import sys
import uuid

import stomp

HOST, PORT, VERSION = sys.argv[1], int(sys.argv[2]), sys.argv[3]
CONNECTION = {
    "1.0": stomp.StompConnection10,
    "1.1": stomp.StompConnection11,
    "1.2": stomp.StompConnection12,
}[VERSION]
# It knows its virtual hosts by name, where stomp.py says the host that it dialled; it goes on after an ERROR, and it forgets
# acknowledgements when it is killed. It serves others, too, so that nothing is done to it.
RABBITMQ = sys.argv[4:] == ["rabbitmq"]
VIRTUAL_HOST = {"vhost": "/"} if RABBITMQ and VERSION != "1.0" else {}
WAIT_S = 60
BINARY = bytes(range(256)) * 3 + b"\0"


def ok(what):
    print(f"stomp.py {VERSION}: {what}", flush=True)


def order(what):
    print(f"> {what}", flush=True)
    assert sys.stdin.readline(), f"nobody did: {what}"


def fresh(kind="queue"):
    return f"/{kind}/stomp-py-{uuid.uuid4()}"


class Session(stomp.ConnectionListener):
    """A connection, and what came over it, in its order."""

    def __init__(self, **options):
        self.events = queue.Queue()
        self.connection = CONNECTION([(HOST, PORT)], auto_decode=False, **VIRTUAL_HOST, **options)
        self.connection.set_listener("session", self)
        self.connect()

    def connect(self):
        self.connection.connect("guest", "guest", wait=True)
        self.connected = self.take("connected")

    def on_connected(self, frame):
        self.events.put(("connected", frame))

    def on_message(self, frame):
        self.events.put(("message", frame))

    def on_receipt(self, frame):
        self.events.put(("receipt", frame.headers["receipt-id"]))

    def on_error(self, frame):
        self.events.put(("error", frame))

    def on_heartbeat(self):
        self.events.put(("beat", None))

    def on_heartbeat_timeout(self):
        self.events.put(("silence", None))

    def on_disconnected(self):
        self.events.put(("disconnected", None))

    def next(self):
        """What happens next, apart from beats."""
        while True:
            event = self.events.get(timeout=WAIT_S)
            if event[0] != "beat":
                return event

    def take(self, wanted):
        kind, what = self.next()
        assert kind == wanted, f"{kind} {what} instead of {wanted}"
        return what

    def take_both(self, *wanted):
        """Two things of which stomp.py tells in the one order or the other, and perhaps twice."""
        missing = set(wanted)
        while missing:
            kind, what = self.next()
            assert kind in wanted, f"{kind} {what} instead of {wanted}"
            missing.discard(kind)

    def bodies(self, count):
        return [self.take("message").body for _ in range(count)]

    def send(self, destination, *bodies, **headers):
        for body in bodies:
            self.connection.send(destination, body, **headers)

    def stored(self, destination, *bodies, **headers):
        """Sends, and waits until all is stored."""
        for number, body in enumerate(bodies):
            self.send(destination, body, receipt=f"stored-{number}", **headers)
        for number in range(len(bodies)):
            assert self.take("receipt") == f"stored-{number}"

    def subscribe(self, destination, ack="auto", id="s", **headers):
        receipt = f"subscribed-{id}"
        self.connection.subscribe(destination, id=id, ack=ack, receipt=receipt, **headers)
        assert self.take("receipt") == receipt

    def ack(self, frame, **headers):
        self.settle(self.connection.ack, frame, receipt="settled", **headers)
        assert self.take("receipt") == "settled"

    def nack(self, frame):
        self.settle(self.connection.nack, frame)

    def settle(self, how, frame, **headers):
        if VERSION == "1.2":
            how(frame.headers["ack"], **headers)
        elif VERSION == "1.1":
            how(frame.headers["message-id"], frame.headers["subscription"], **headers)
        else:
            how(frame.headers["message-id"], **headers)

    def close(self):
        self.connection.disconnect(receipt="bye")
        self.take_both("receipt", "disconnected")


def left(destination, *expected):
    """What waits in a queue beside a message that is sent now. That one may overtake what a connection that ends gives
    back."""
    session = Session()
    session.subscribe(destination)
    session.send(destination, b"sent now")
    frames = [session.take("message") for _ in range(len(expected) + 1)]
    session.close()
    frames = [frame for frame in frames if frame.body != b"sent now"]
    found = [frame.body for frame in frames]
    assert found == list(expected), found
    return frames


def connecting():
    session = Session()
    headers = session.connected.headers
    assert headers.get("version", "1.0") == VERSION, headers
    assert headers["session"] and headers["server"], headers
    session.close()
    ok("CONNECTED names version, session and server; DISCONNECT has its receipt")


def messages():
    session, there = Session(), fresh()
    session.subscribe(there)
    value = "plain" if VERSION == "1.0" else "a:b\\c\nd"
    session.send(there, "grüße", content_type="text/plain", trace=value)
    frame = session.take("message")
    assert frame.body == "grüße".encode(), frame.body
    assert frame.headers["destination"] == there, frame.headers
    assert frame.headers["content-type"] == "text/plain", frame.headers
    assert frame.headers["trace"] == value, frame.headers
    assert frame.headers["subscription"] == "s", frame.headers
    session.send(there, BINARY)
    session.send(there, b"")
    session.send(there, b"x" * 1_000_000)
    assert session.bodies(3) == [BINARY, b"", b"x" * 1_000_000]
    ok("bodies come back byte for byte: text, binary, empty, large; headers as they were")

    session.connection.unsubscribe(id="s", receipt="unsubscribed")
    assert session.take("receipt") == "unsubscribed"
    session.stored(there, b"after")
    session.subscribe(there, id="t")
    assert session.bodies(1) == [b"after"]
    session.close()
    ok("nothing comes after UNSUBSCRIBE, and it waits for the next SUBSCRIBE")


def receipts():
    session, there = Session(), fresh()
    for number in range(200):
        session.send(there, b"%d" % number, receipt=f"r-{number}")
    assert [session.take("receipt") for _ in range(200)] == [f"r-{number}" for number in range(200)]
    session.close()
    left(there, *[b"%d" % number for number in range(200)])
    ok("200 receipts come in the order of their frames")


def acknowledging():
    there, session = fresh(), Session()
    session.stored(there, b"1", b"2", b"3", b"4")
    session.subscribe(there, ack="auto")
    assert session.bodies(4) == [b"1", b"2", b"3", b"4"]
    session.close()
    left(there)
    ok("auto: what was sent is gone")

    session = Session()
    session.stored(there, b"1", b"2", b"3", b"4")
    session.subscribe(there, ack="client")
    frames = [session.take("message") for _ in range(4)]
    assert {frame.headers["redelivered"] for frame in frames} == {"false"}
    session.ack(frames[2])
    session.close()
    assert left(there, b"4")[0].headers["redelivered"] == "true"
    ok("client: an ACK settles all up to it, the rest comes again")

    if VERSION == "1.0":
        return
    session = Session()
    session.stored(there, b"1", b"2", b"3", b"4")
    session.subscribe(there, ack="client-individual")
    frames = [session.take("message") for _ in range(4)]
    session.ack(frames[2])
    session.close()
    left(there, b"1", b"2", b"4")
    ok("client-individual: an ACK settles one")

    session = Session()
    session.stored(there, b"1", b"2")
    session.subscribe(there, ack="client-individual")
    frames = [session.take("message") for _ in range(2)]
    session.nack(frames[0])
    again = session.take("message")
    assert (again.body, again.headers["redelivered"]) == (b"1", "true")
    session.ack(again)
    session.ack(frames[1])
    session.close()
    left(there)
    ok("NACK: it comes again")


def transactions():
    there, other, session = fresh(), fresh(), Session()
    session.stored(there, b"1", b"2", b"3")
    session.subscribe(there, ack="client")
    frames = [session.take("message") for _ in range(3)]

    transaction = session.connection.begin()
    session.send(other, b"aborted", transaction=transaction)
    session.ack(frames[2], transaction=transaction)
    session.connection.abort(transaction, receipt="aborted")
    assert session.take("receipt") == "aborted"

    transaction = session.connection.begin()
    session.send(other, b"committed", b"too", transaction=transaction)
    session.ack(frames[0], transaction=transaction)
    session.connection.commit(transaction, receipt="committed")
    assert session.take("receipt") == "committed"

    transaction = session.connection.begin()
    session.send(other, b"open", transaction=transaction)
    session.ack(frames[2], transaction=transaction)
    session.close()
    left(other, b"committed", b"too")
    left(there, b"2", b"3")
    ok("SEND and ACK count with COMMIT, and not with ABORT or the end of the connection")


def topics():
    there, sender, listeners = fresh("topic"), Session(), [Session(), Session()]
    for listener in listeners:
        listener.subscribe(there)
    sender.stored(there, b"news")
    assert [listener.bodies(1) for listener in listeners] == [[b"news"]] * 2
    for listener in listeners:
        listener.close()
    sender.close()
    ok("every listener of a topic gets a message")

    durable = {"durable": "true", "auto-delete": "false"}
    name = f"d-{uuid.uuid4()}"
    session = Session()
    session.subscribe(there, ack="client", id=name, **durable)
    session.close()
    session = Session()
    session.stored(there, b"while it was away", persistent="true")
    session.subscribe(there, ack="client", id=name, **durable)
    frame = session.take("message")
    assert frame.body == b"while it was away"
    session.ack(frame)
    session.connection.unsubscribe(id=name, receipt="gone", **durable)
    assert session.take("receipt") == "gone"
    session.stored(there, b"nobody")
    session.subscribe(there, id=name)
    session.send(there, b"somebody")
    assert session.bodies(1) == [b"somebody"]
    session.close()
    ok("a durable subscription gets what came while it was away, until it is deleted")


def replying():
    there, worker, asker = fresh(), Session(), Session()
    worker.subscribe(there)
    asker.send(there, b"question", **{"reply-to": "/temp-queue/answers"})
    question = worker.take("message")
    worker.send(question.headers["reply-to"], b"answer")
    assert asker.bodies(1) == [b"answer"]
    worker.close()
    asker.close()
    ok("reply-to /temp-queue/… brings the answer back")


def errors():
    for what, destination in (("an unknown destination", "/nowhere/at/all"), ("an empty one", "")):
        session = Session()
        session.connection.subscribe(destination, id="s", ack="auto", receipt="never")
        error = session.take("error")
        assert error.headers["message"], error.headers
        if not RABBITMQ:
            session.take("disconnected")
        ok(f"SUBSCRIBE to {what} is an ERROR, and the end")


def beating():
    if VERSION == "1.0":
        return
    session = Session(heartbeats=(500, 500), heart_beat_receive_scale=4)
    for _ in range(4):
        kind, _ = session.events.get(timeout=WAIT_S)
        assert kind == "beat", kind
    there = fresh()
    session.stored(there, b"still connected")
    ok("heart-beats keep an idle connection")
    if RABBITMQ:
        return session.close()
    order("pause")
    session.take_both("silence", "disconnected")
    order("resume")
    ok("a silent server is noticed")


def reconnecting():
    if RABBITMQ:
        return
    there = fresh()
    session = Session(reconnect_attempts_max=20, reconnect_sleep_increase=0.1)
    session.stored(there, b"1", b"2", persistent="true")
    session.subscribe(there, ack="client")
    one, two = session.take("message"), session.take("message")
    session.ack(one)
    order("restart")
    session.take("disconnected")
    session.connect()
    session.subscribe(there, ack="client")
    again = session.take("message")
    assert (again.body, again.headers["redelivered"]) == (two.body, "true"), again
    session.ack(again)
    session.close()
    left(there)
    ok("after the server was killed, what was stored and not acknowledged comes again")


for check in (
    connecting,
    messages,
    receipts,
    acknowledging,
    transactions,
    topics,
    replying,
    errors,
    beating,
    reconnecting,
):
    check()
