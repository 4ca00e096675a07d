// What both clients of Node share: a session over the WebSocket interface of browsers, payloads, and the count of checks.
// Invariant: a script prints `ok N checks`, or the first difference and ends with 1; no wait is without an end.

import { parseArgs } from 'node:util';

export const MESSAGE_BYTES_MAX = 16 << 20;
export const REASON_BYTES_MAX = 123;
const SIZES_BYTES = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20, MESSAGE_BYTES_MAX];
const RUN_MS_MAX = 60_000;

// Four characters of one to four bytes.
const CHARACTERS = 'aé€𝄞';
const CHARACTERS_BYTES = Buffer.byteLength(CHARACTERS);
const JSON_ROW = '{"id":4711,"name":"gannet","position":[57.07,-5.78],"tags":["sea","bird"]},';

/** Text of exactly this size in UTF-8. */
export function textOf(sizeBytes) {
  const rest = sizeBytes % CHARACTERS_BYTES;
  return CHARACTERS.repeat((sizeBytes - rest) / CHARACTERS_BYTES) + 'x'.repeat(rest);
}

export function compressible(sizeBytes) {
  return Buffer.alloc(sizeBytes, JSON_ROW);
}

export function incompressible(sizeBytes) {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let state = sizeBytes + 1;
  for (let index = 0; index < words.length; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, sizeBytes);
}

/** `payload` cut into `count` pieces of nearly the same size, wherever the cuts fall. */
export function pieces(payload, count) {
  const cut = (index) => Math.floor((payload.length * index) / count);
  return Array.from({ length: count }, (_, index) => payload.subarray(cut(index), cut(index + 1)));
}

/** The checks of a run: what is under way, and how many were as expected. */
export const checks = {
  count: 0,
  current: 'the first connection',

  equal(what, actual, expected) {
    const same = Buffer.isBuffer(expected) && Buffer.isBuffer(actual) ? expected.equals(actual) : actual === expected;
    if (!same) {
      throw new Error(`${what}: expected ${shown(expected)}, got ${shown(actual)}`);
    }
    this.count += 1;
    this.current = `what follows ${what}`;
  },
};

function shown(value) {
  const isLong = typeof value === 'string' || Buffer.isBuffer(value);
  return isLong ? `${JSON.stringify(value.toString('latin1', 0, 64).slice(0, 64))}, ${value.length} long` : String(value);
}

/** A client socket whose messages and end can be waited for. */
export class Session {
  #arrived = [];
  #waiting = [];

  constructor(socket) {
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => {
      this.#deliver(typeof data === 'string' ? data : Buffer.from(data));
    });
    this.opened = new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', ({ error, message }) => reject(error ?? new Error(message)));
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener('close', (event) => {
        this.#deliver(`closed with ${event.code} ${event.reason}`);
        resolve(event);
      });
    });
    // An error that comes after the opening is followed by the close event, which says more.
    this.opened.catch(() => {});
  }

  #deliver(message) {
    const waiting = this.#waiting.shift();
    if (waiting) {
      waiting(message);
    } else {
      this.#arrived.push(message);
    }
  }

  receive() {
    if (this.#arrived.length > 0) {
      return Promise.resolve(this.#arrived.shift());
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async answered(what, payload) {
    checks.current = what;
    checks.equal(what, await this.receive(), payload);
  }

  async echo(what, payload) {
    this.socket.send(payload);
    await this.answered(what, payload);
  }

  /** Closes, and checks that the answer has the same code and reason. */
  async close(code, reason) {
    this.socket.close(code, reason);
    checks.current = `answer to Close ${code}`;
    const answer = await this.closed;
    // RFC 6455 §7.1.5: a Close frame without a code is reported as 1005.
    checks.equal(`code that answers Close ${code}`, answer.code, code ?? 1005);
    checks.equal(`reason that answers Close ${code}`, answer.reason, reason ?? '');
    checks.equal(`clean end after Close ${code}`, answer.wasClean, true);
  }
}

export async function messagesOfEverySize(session, sizeBytesMax = MESSAGE_BYTES_MAX) {
  for (const sizeBytes of SIZES_BYTES.filter((size) => size <= sizeBytesMax)) {
    await session.echo(`text of ${sizeBytes} bytes`, textOf(sizeBytes));
    await session.echo(`compressible binary of ${sizeBytes} bytes`, compressible(sizeBytes));
    await session.echo(`incompressible binary of ${sizeBytes} bytes`, incompressible(sizeBytes));
  }
}

export async function messagesWithoutWaiting(session) {
  const messages = Array.from({ length: 500 }, (_, index) => (index % 2 ? compressible(index) : textOf(index)));
  for (const message of messages) {
    session.socket.send(message);
  }
  for (const [index, message] of messages.entries()) {
    await session.answered(`message ${index} of many`, message);
  }
}

/** Runs `main(url, compression)`; compression is `off`, `declined` (offered, must not be taken) or `on`. */
export async function run(main) {
  const { values, positionals } = parseArgs({
    options: { compression: { type: 'string' } },
    allowPositionals: true,
  });
  const late = setTimeout(() => end(`no end within ${RUN_MS_MAX} ms; it waited for: ${checks.current}`), RUN_MS_MAX);
  try {
    await main(positionals[0], values.compression);
    clearTimeout(late);
    console.log(`ok ${checks.count} checks`);
  } catch (error) {
    end(error.message);
  }
}

function end(difference) {
  console.error(difference);
  process.exit(1);
}
