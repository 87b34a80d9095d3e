'use strict';

// What the scripts of both clients share.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const readline = require('node:readline');

const WAIT_MS = 60_000;
const BINARY = Buffer.from([...Array(256).keys(), 0]);

/** Things that happen, to be taken in their order. */
class Events {
  #waiting = [];
  #happened = [];

  push(event) {
    const first = this.#waiting.shift();
    if (first) first(event);
    else this.#happened.push(event);
  }

  take(what) {
    if (this.#happened.length > 0) return Promise.resolve(this.#happened.shift());
    return inTime(what, new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async takeSome(count, what) {
    const events = [];
    while (events.length < count) events.push(await this.take(what));
    return events;
  }
}

/** A promise that fails if it isn't kept in time. */
function inTime(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function fresh(kind = 'queue') {
  return `/${kind}/node-${randomUUID()}`;
}

const answers = new Events();

/** Asks whoever runs the script to do something to the server. */
async function order(what) {
  console.log(`> ${what}`);
  await answers.take(what);
}

/** Runs checks one after the other. The first that fails ends the program. */
function run(checks) {
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', (line) => answers.push(line));
  (async () => {
    for (const check of checks) await check();
    process.exit(0);
  })().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { BINARY, Events, assert, fresh, inTime, order, run };
