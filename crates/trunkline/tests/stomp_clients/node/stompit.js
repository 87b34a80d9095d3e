'use strict';

// What a program that uses stompit gets from a STOMP server.
//
// usage: stompit.js HOST PORT VERSION [rabbitmq]
//
// Prints a line for every check that held; the first that doesn't ends it. A line that begins with `> ` asks
// whoever runs it to do something to the server, and a line on standard input says that it is done.

const stompit = require('stompit');
const { BINARY, Events, assert, fresh, inTime, order, run } = require('./checks.js');

const [host, port, version, server] = process.argv.slice(2);
const rabbitmq = server === 'rabbitmq';

function ok(what) {
  console.log(`stompit ${version}: ${what}`);
}

function options(more) {
  return {
    host,
    port: Number(port),
    // What a beat may be late on a busy machine.
    heartbeatDelayMargin: 3000,
    connectHeaders: {
      'accept-version': version,
      host: '/',
      login: 'guest',
      passcode: 'guest',
      'heart-beat': '0,0',
      ...more,
    },
  };
}

/** The body of a message, which comes as a stream. */
function read(message) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    message.on('data', (piece) => pieces.push(piece));
    message.on('end', () => resolve(Buffer.concat(pieces)));
    message.on('error', reject);
  });
}

/** A client, and what came over it, in its order. */
class Session {
  static async open(more) {
    const session = new Session();
    session.messages = new Events();
    session.errors = new Events();
    session.client = await inTime(
      'CONNECTED',
      new Promise((resolve, reject) => {
        stompit.connect(options(more), (error, client) => (error ? reject(error) : resolve(client)));
      })
    );
    session.client.on('error', (error) => session.errors.push(error));
    return session;
  }

  /** Does something with a receipt, and waits for it. */
  receipt(ask) {
    return inTime('a RECEIPT', new Promise((resolve) => ask({ onReceipt: resolve })));
  }

  send(destination, body, headers, receipt) {
    const headed = { destination, 'content-length': Buffer.byteLength(body), ...headers };
    this.client.send(headed, receipt).end(body);
  }

  async stored(destination, ...bodies) {
    for (const body of bodies) {
      await this.receipt((receipt) => this.send(destination, body, { persistent: 'true' }, receipt));
    }
  }

  subscribe(destination, headers) {
    return this.client.subscribe({ destination, ...headers }, async (error, message) => {
      if (error) return;
      // The next frame is not read before this body was.
      this.messages.push({ message, body: await read(message) });
    });
  }

  take(count) {
    return this.messages.takeSome(count, 'a message');
  }

  async bodies(count) {
    return (await this.take(count)).map(({ body }) => body.toString());
  }

  ack({ message }, headers) {
    return this.receipt((receipt) => this.client.ack(message, headers, receipt));
  }

  /** Sends DISCONNECT and waits for its RECEIPT. */
  close() {
    const closed = new Promise((resolve, reject) => {
      this.client.disconnect((error) => (error ? reject(error) : resolve()));
    });
    return inTime('the end', closed);
  }
}

/** What waits in a queue beside a message that is sent now. That one may overtake what a connection that ends gives back. */
async function left(destination, ...expected) {
  const session = await Session.open();
  session.subscribe(destination);
  session.send(destination, 'sent now');
  const found = await session.bodies(expected.length + 1);
  assert.deepEqual(found.filter((body) => body !== 'sent now'), expected);
  await session.close();
}

async function bodiesAndHeaders() {
  const session = await Session.open();
  assert.equal(session.client.headers.version ?? '1.0', version);
  const there = fresh();
  const subscription = session.subscribe(there);
  const trace = version === '1.0' ? 'plain' : 'a:b\nc\\d';
  for (const body of [Buffer.from('grüße'), BINARY, Buffer.alloc(1_000_000, 'x')]) {
    session.send(there, body, { trace });
    const [{ message, body: found }] = await session.take(1);
    assert.deepEqual(found, body);
    assert.equal(message.headers.trace, trace);
    assert.equal(message.headers.destination, there);
  }
  ok('bodies come back byte for byte, headers as they were');

  subscription.unsubscribe();
  await session.stored(there, 'after');
  session.subscribe(there);
  assert.deepEqual(await session.bodies(1), ['after']);
  await session.close();
  ok('nothing comes after UNSUBSCRIBE, and it waits for the next SUBSCRIBE');
}

async function receipts() {
  const session = await Session.open();
  const there = fresh();
  const came = [];
  await inTime(
    '200 receipts',
    new Promise((resolve) => {
      for (let number = 0; number < 200; number += 1) {
        const onReceipt = () => {
          came.push(number);
          if (came.length === 200) resolve();
        };
        session.send(there, `${number}`, {}, { onReceipt });
      }
    })
  );
  assert.deepEqual(came, [...Array(200).keys()]);
  await session.close();
  await left(there, ...came.map(String));
  ok('200 receipts come in the order of their frames');
}

async function acknowledging() {
  const there = fresh();
  let session = await Session.open();
  await session.stored(there, '1', '2', '3', '4');
  session.subscribe(there, { ack: 'client' });
  let messages = await session.take(4);
  const redelivered = messages.map(({ message }) => message.headers.redelivered);
  assert.deepEqual(redelivered, Array(4).fill('false'));
  await session.ack(messages[2]);
  await session.close();
  await left(there, '4');
  ok('client: an ACK settles all up to it, the rest comes again');

  if (version === '1.0') return;

  session = await Session.open();
  await session.stored(there, '1', '2', '3', '4');
  session.subscribe(there, { ack: 'client-individual' });
  messages = await session.take(4);
  await session.ack(messages[2]);
  await session.close();
  await left(there, '1', '2', '4');
  ok('client-individual: an ACK settles one');

  session = await Session.open();
  await session.stored(there, 'again');
  session.subscribe(there, { ack: 'client-individual' });
  session.client.nack((await session.take(1))[0].message);
  const [again] = await session.take(1);
  assert.deepEqual([String(again.body), again.message.headers.redelivered], ['again', 'true']);
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
  session.subscribe(other, { ack: 'client' });
  const [first, second] = await session.take(2);

  const aborted = session.client.begin();
  aborted.send({ destination: there }).end('aborted');
  session.client.ack(second.message, { transaction: aborted.id });
  await session.receipt((receipt) => aborted.abort(receipt));

  const committed = session.client.begin();
  committed.send({ destination: there }).end('committed');
  committed.send({ destination: there }).end('too');
  session.client.ack(first.message, { transaction: committed.id });
  await session.receipt((receipt) => committed.commit(receipt));
  await session.close();
  await left(there, 'committed', 'too');
  await left(other, '2');
  ok('SEND and ACK count with COMMIT, and not with ABORT');
}

async function topics() {
  const there = fresh('topic');
  const listeners = [await Session.open(), await Session.open()];
  for (const listener of listeners) {
    listener.subscribe(there);
    // Answered in order: so the subscription is there.
    await listener.stored(fresh(), 'behind it');
  }
  const sender = await Session.open();
  sender.send(there, 'news');
  for (const listener of listeners) assert.deepEqual(await listener.bodies(1), ['news']);
  for (const session of [sender, ...listeners]) await session.close();
  ok('every listener of a topic gets a message');
}

async function refused() {
  const session = await Session.open();
  // stompit raises it also where no program can catch it.
  process.once('uncaughtException', (error) => session.errors.push(error));
  session.subscribe('/nowhere/at/all');
  const error = await session.errors.take('an ERROR');
  assert.ok(error.isApplicationError(), error);
  ok('SUBSCRIBE to an unknown destination is an ERROR');
}

async function beating() {
  if (version === '1.0') return;
  const session = await Session.open({ 'heart-beat': '500,500' });
  // Silence is an error after about four seconds; without beats it would be one.
  const silence = session.errors.take('silence');
  const idle = new Promise((resolve) => setTimeout(resolve, 6000));
  assert.equal(await Promise.race([idle, silence]), undefined);
  await session.stored(fresh(), 'still connected');
  ok('heart-beats keep an idle connection');
  if (rabbitmq) return session.close();

  await order('pause');
  const error = await silence;
  assert.ok(error.isTransportError(), error);
  await order('resume');
  ok('a silent server is noticed');
}

async function reconnecting() {
  const there = fresh();
  const failover = new stompit.ConnectFailover([options()], { initialReconnectDelay: 20, maxReconnectDelay: 500 });
  const channel = new stompit.Channel(failover);
  const send = (body) =>
    inTime(
      'a RECEIPT',
      new Promise((resolve, reject) => {
        channel.send({ destination: there }, body, (error) => (error ? reject(error) : resolve()));
      })
    );
  await send('1');
  await send('2');
  const messages = new Events();
  channel.subscribe({ destination: there, ack: 'client' }, async (error, message) => {
    if (!error) messages.push({ message, body: (await read(message)).toString() });
  });
  const [first] = await messages.takeSome(2, 'a message');
  await inTime('a RECEIPT', new Promise((resolve) => channel.ack(first.message, {}, { onReceipt: resolve })));
  await order('restart');
  // It connects and subscribes again by itself.
  const again = await messages.take('a message');
  assert.deepEqual([again.body, again.message.headers.redelivered], ['2', 'true']);
  await inTime('a RECEIPT', new Promise((resolve) => channel.ack(again.message, {}, { onReceipt: resolve })));
  channel.close();
  await left(there);
  ok('after the server was killed, what was stored and not acknowledged comes again');
}

run([
  bodiesAndHeaders,
  receipts,
  acknowledging,
  transactions,
  topics,
  refused,
  beating,
  // RabbitMQ forgets acknowledgements when it is killed; and it serves others, too.
  ...(rabbitmq ? [] : [reconnecting]),
]);
