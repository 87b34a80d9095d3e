'use strict';

// What a program that uses @stomp/stompjs gets from a STOMP server over WebSocket.
//
// usage: stompjs.js URL VERSION [rabbitmq]
//
// Prints a line for every check that held; the first that doesn't ends it. A line that begins with `> ` asks
// whoever runs it to do something to the server, and a line on standard input says that it is done.

const { Client, Versions } = require('@stomp/stompjs');
const { randomUUID } = require('node:crypto');
const WebSocket = require('ws');
const { BINARY, Events, assert, fresh, inTime, order, run } = require('./checks.js');

const [url, version, server] = process.argv.slice(2);
const rabbitmq = server === 'rabbitmq';

function ok(what) {
  console.log(`stompjs ${version}: ${what}`);
}

/** A client, and what came over it, in its order. */
class Session {
  constructor(options) {
    this.messages = new Events();
    this.connections = new Events();
    this.errors = new Events();
    this.closes = new Events();
    this.client = new Client({
      brokerURL: url,
      webSocketFactory: () => (this.socket = new WebSocket(url, versions().protocolVersions())),
      stompVersions: versions(),
      // By default stompjs sends none.
      connectHeaders: { login: 'guest', passcode: 'guest', ...(rabbitmq && { host: '/' }) },
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
      reconnectDelay: 0,
      onConnect: (frame) => this.connections.push(frame),
      onStompError: (frame) => this.errors.push(frame),
      onWebSocketClose: (event) => this.closes.push(event),
      onUnhandledMessage: (message) => this.messages.push(message),
      ...options,
    });
  }

  static async open(options) {
    const session = new Session(options);
    session.client.activate();
    session.connected = await session.connections.take('CONNECTED');
    return session;
  }

  /** Does something with a receipt, and waits for it. */
  receipt(ask) {
    const receipt = `r-${randomUUID()}`;
    const came = new Promise((resolve) => this.client.watchForReceipt(receipt, resolve));
    ask({ receipt });
    return inTime(receipt, came);
  }

  publish(destination, body, headers) {
    const binary = typeof body === 'string' ? { body } : { binaryBody: body };
    this.client.publish({ destination, ...binary, headers });
  }

  async stored(destination, ...bodies) {
    for (const body of bodies) {
      await this.receipt((receipt) => this.publish(destination, body, { persistent: 'true', ...receipt }));
    }
  }

  async subscribe(destination, headers) {
    let subscription;
    await this.receipt((receipt) => {
      const take = (message) => this.messages.push(message);
      subscription = this.client.subscribe(destination, take, { ...headers, ...receipt });
    });
    return subscription;
  }

  take(count) {
    return this.messages.takeSome(count, 'a message');
  }

  async bodies(count) {
    return (await this.take(count)).map((message) => message.body);
  }

  ack(message, headers) {
    return this.receipt((receipt) => message.ack({ ...headers, ...receipt }));
  }

  /** Sends DISCONNECT, waits for its RECEIPT and for the end. */
  close() {
    return inTime('the end', this.client.deactivate());
  }
}

function versions() {
  return new Versions([version]);
}

/** What waits in a queue beside a message that is sent now. That one may overtake what a connection that ends gives back. */
async function left(destination, ...expected) {
  const session = await Session.open();
  await session.subscribe(destination);
  session.publish(destination, 'sent now');
  const found = await session.bodies(expected.length + 1);
  assert.deepEqual(found.filter((body) => body !== 'sent now'), expected);
  await session.close();
}

async function connecting() {
  const session = await Session.open();
  assert.equal(session.client.connectedVersion, version);
  assert.equal(session.socket.protocol, `v${version.replace('.', '')}.stomp`);
  assert.ok(session.connected.headers.session);
  await session.close();
  const close = await session.closes.take('the end');
  assert.equal(close.code, 1000);
  ok('the sub-protocol is that of the version, DISCONNECT has its receipt before the close');
}

async function bodiesAndHeaders() {
  const session = await Session.open();
  const there = fresh();
  const subscription = await session.subscribe(there);
  // It escapes nothing in 1.1, and a backslash before a c would meet a fault of it in 1.2.
  const trace = version === '1.2' ? 'a:b\nc\\d' : 'plain';
  for (const body of ['grüße', '', 'x'.repeat(1_000_000)]) {
    session.publish(there, body, { trace });
    const [message] = await session.take(1);
    assert.equal(message.body, body);
    assert.equal(message.headers.trace, trace);
    assert.equal(message.headers.destination, there);
  }
  const big = Buffer.concat(Array(4000).fill(BINARY));
  for (const body of [BINARY, big]) {
    session.publish(there, body, { 'content-type': 'application/octet-stream' });
    const [message] = await session.take(1);
    assert.deepEqual(Buffer.from(message.binaryBody), body);
  }
  ok('bodies come back byte for byte: text, empty, large, binary; headers as they were');

  await session.receipt((receipt) => subscription.unsubscribe(receipt));
  await session.stored(there, 'after');
  await session.subscribe(there);
  assert.deepEqual(await session.bodies(1), ['after']);
  await session.close();
  ok('nothing comes after UNSUBSCRIBE, and it waits for the next SUBSCRIBE');
}

async function splitFrames() {
  const session = await Session.open({ splitLargeFrames: true, maxWebSocketChunkSize: 1000 });
  const there = fresh();
  await session.subscribe(there);
  session.publish(there, 'y'.repeat(100_000));
  for (const number of [1, 2, 3]) session.publish(there, `${number}`);
  assert.deepEqual(await session.bodies(4), ['y'.repeat(100_000), '1', '2', '3']);
  await session.close();
  ok('a STOMP frame may come in many of WebSocket');

  const binary = await Session.open({ forceBinaryWSFrames: true });
  await binary.subscribe(there);
  binary.publish(there, 'text in binary frames');
  assert.deepEqual(await binary.bodies(1), ['text in binary frames']);
  await binary.close();
  ok('text may come in binary frames of WebSocket');
}

async function acknowledging() {
  const there = fresh();
  let session = await Session.open();
  await session.stored(there, '1', '2', '3', '4');
  await session.subscribe(there, { ack: 'client' });
  let messages = await session.take(4);
  assert.deepEqual(messages.map((message) => message.headers.redelivered), Array(4).fill('false'));
  await session.ack(messages[2]);
  await session.close();
  await left(there, '4');
  ok('client: an ACK settles all up to it, the rest comes again');

  if (version === '1.0') return;

  session = await Session.open();
  await session.stored(there, '1', '2', '3', '4');
  await session.subscribe(there, { ack: 'client-individual' });
  messages = await session.take(4);
  await session.ack(messages[2]);
  await session.close();
  await left(there, '1', '2', '4');
  ok('client-individual: an ACK settles one');

  session = await Session.open();
  await session.stored(there, 'again');
  await session.subscribe(there, { ack: 'client-individual' });
  (await session.take(1))[0].nack();
  const [again] = await session.take(1);
  assert.deepEqual([again.body, again.headers.redelivered], ['again', 'true']);
  await session.ack(again);
  await session.close();
  await left(there);
  ok('NACK: it comes again');
}

async function transactions() {
  const there = fresh();
  const other = fresh();
  const session = await Session.open();
  await session.stored(other, '1', '2');
  await session.subscribe(other, { ack: 'client' });
  const [first, second] = await session.take(2);

  const aborted = session.client.begin();
  session.publish(there, 'aborted', { transaction: aborted.id });
  second.ack({ transaction: aborted.id });
  aborted.abort();

  const committed = session.client.begin();
  session.publish(there, 'committed', { transaction: committed.id });
  session.publish(there, BINARY, { transaction: committed.id });
  first.ack({ transaction: committed.id });
  committed.commit();
  await session.stored(fresh(), 'behind it');
  await session.close();

  await left(other, '2');
  const reader = await Session.open();
  await reader.subscribe(there);
  const [text, binary] = await reader.take(2);
  assert.equal(text.body, 'committed');
  assert.deepEqual(Buffer.from(binary.binaryBody), BINARY);
  await reader.close();
  await left(there);
  ok('SEND and ACK count with COMMIT, and not with ABORT');
}

async function topics() {
  const there = fresh('topic');
  const listeners = [await Session.open(), await Session.open()];
  for (const listener of listeners) await listener.subscribe(there);
  const sender = await Session.open();
  sender.publish(there, 'news');
  for (const listener of listeners) assert.deepEqual(await listener.bodies(1), ['news']);
  for (const session of [sender, ...listeners]) await session.close();
  ok('every listener of a topic gets a message');
}

async function refused() {
  const session = await Session.open();
  session.client.subscribe('/nowhere/at/all', () => {});
  const error = await session.errors.take('an ERROR');
  assert.ok(error.headers.message);
  if (!rabbitmq) await session.closes.take('the end');
  await session.close();
  ok('SUBSCRIBE to an unknown destination is an ERROR, and the end');
}

async function beating() {
  if (version === '1.0') return;
  const beats = new Events();
  const session = await Session.open({
    heartbeatIncoming: 500,
    heartbeatOutgoing: 500,
    heartbeatToleranceMultiplier: 4,
    // Otherwise the WebSocket would wait half a minute for the answer to its close.
    discardWebsocketOnCommFailure: true,
    onHeartbeatReceived: () => beats.push('beat'),
  });
  await beats.takeSome(4, 'a beat');
  await session.stored(fresh(), 'still connected');
  ok('heart-beats keep an idle connection');
  if (rabbitmq) return session.close();

  await order('pause');
  await session.closes.take('the end of a silent connection');
  await order('resume');
  await session.close();
  ok('a silent server is noticed');
}

async function reconnecting() {
  const there = fresh();
  const session = await Session.open({ reconnectDelay: 50 });
  await session.stored(there, '1', '2');
  await session.subscribe(there, { ack: 'client' });
  const [first] = await session.take(2);
  await session.ack(first);
  await order('restart');
  // It connects by itself; subscribing is the program's.
  await session.connections.take('CONNECTED again');
  await session.subscribe(there, { ack: 'client' });
  const [again] = await session.take(1);
  assert.deepEqual([again.body, again.headers.redelivered], ['2', 'true']);
  await session.ack(again);
  await session.close();
  await left(there);
  ok('after the server was killed, what was stored and not acknowledged comes again');
}

run([
  connecting,
  bodiesAndHeaders,
  splitFrames,
  acknowledging,
  transactions,
  topics,
  refused,
  beating,
  // RabbitMQ forgets acknowledgements when it is killed; and it serves others, too.
  ...(rabbitmq ? [] : [reconnecting]),
]);
