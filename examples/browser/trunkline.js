// A Trunkline connection for browsers: calls, pushes, and being a worker. No dependencies.
//
//     const trunkline = await Trunkline.connect("ws://127.0.0.1:7400/rpc");
//     const answer = await trunkline.call("text.upper", ["hello"]);
//
export class Trunkline {
  #socket;
  #lastId = 0;
  #answers = new Map(); // id → {resolve, reject}
  #listeners = new Map(); // push method → function
  #methods = {}; // what this connection offers as a worker

  // Connects, or rejects with the reason as far as a browser tells it.
  static connect(url) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.onopen = () => resolve(new Trunkline(socket));
      socket.onerror = () => reject(new Error(`can't connect to ${url}`));
    });
  }

  constructor(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#read(JSON.parse(data));
    socket.onclose = () => {
      for (const { reject } of this.#answers.values()) {
        reject(new Error("the connection was closed"));
      }
      this.#answers.clear();
    };
  }

  // Sends a request; resolves with its result, rejects with its error (`error.code` is the number).
  call(method, params) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#answers.set(id, { resolve, reject });
      this.#send({ id, method, params });
    });
  }

  // Calls `listener` with the params of every push of this kind.
  on(method, listener) {
    this.#listeners.set(method, listener);
  }

  // Offers functions as methods that anybody can call; a page can be a worker, too.
  work(handler, methods) {
    Object.assign(this.#methods, methods);
    return this.call("rpc.worker.register", { handler, methods: Object.keys(methods) });
  }

  close() {
    this.#socket.close();
  }

  #send(message) {
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
  }

  #read(message) {
    if (message.method === undefined) {
      this.#settle(message);
    } else if (message.id === undefined) {
      this.#listeners.get(message.method)?.(message.params);
    } else {
      this.#answer(message);
    }
  }

  #settle({ id, result, error }) {
    const waiting = this.#answers.get(id);
    this.#answers.delete(id);
    if (error) {
      waiting?.reject(Object.assign(new Error(error.message), error));
    } else {
      waiting?.resolve(result);
    }
  }

  async #answer({ id, method, params }) {
    try {
      const result = await this.#methods[method](params);
      this.#send({ id, result: result ?? null });
    } catch (error) {
      this.#send({ id, error: { code: -32000, message: String(error) } });
    }
  }
}
