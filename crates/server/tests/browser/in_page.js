// Runs in every page before its own scripts: what the tests do with WebSockets there.
// Invariant: payloads are made and compared in the page, so that a message of 16 MiB does not leave the browser.

globalThis.inPage = (() => {
  const violations = [];
  document.addEventListener('securitypolicyviolation', (event) => {
    violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
  });

  // Four characters of one to four bytes.
  const CHARACTERS = 'aé€𝄞';
  const CHARACTERS_BYTES = 10;

  function textOf(sizeBytes) {
    const rest = sizeBytes % CHARACTERS_BYTES;
    return CHARACTERS.repeat((sizeBytes - rest) / CHARACTERS_BYTES) + 'x'.repeat(rest);
  }

  function bytesOf(sizeBytes) {
    const words = new Uint32Array(Math.ceil(sizeBytes / 4));
    let state = sizeBytes + 1;
    for (let index = 0; index < words.length; index += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[index] = state;
    }
    return new Uint8Array(words.buffer, 0, sizeBytes);
  }

  const PAYLOADS = {
    text: textOf,
    Blob: (sizeBytes) => new Blob([bytesOf(sizeBytes)]),
    ArrayBuffer: (sizeBytes) => bytesOf(sizeBytes).slice().buffer,
    // A view in the middle of its buffer: only what it shows is sent.
    Uint8Array: (sizeBytes) => bytesOf(sizeBytes + 8).subarray(4, sizeBytes + 4),
  };

  async function toBytes(data) {
    return new Uint8Array(ArrayBuffer.isView(data) ? data : await new Response(data).arrayBuffer());
  }

  async function isSame(sent, received) {
    if (typeof sent === 'string' || typeof received === 'string') {
      return sent === received;
    }
    const [left, right] = [await toBytes(sent), await toBytes(received)];
    return left.length === right.length && left.every((byte, index) => byte === right[index]);
  }

  function event(target, name) {
    return new Promise((resolve) => target.addEventListener(name, resolve, { once: true }));
  }

  /** How the connection opened, or ended before it did. */
  function opened(socket) {
    return new Promise((resolve) => {
      socket.addEventListener('open', () => resolve('open'));
      socket.addEventListener('close', ({ code, wasClean }) => resolve(`closed ${code}, clean ${wasClean}`));
    });
  }

  /** Sends one message of each kind and size; tells what came back for it, and what was left unsent then. */
  async function echoes(url, binaryType, sizesBytes) {
    const socket = new WebSocket(url);
    socket.binaryType = binaryType;
    await event(socket, 'open');
    const results = [];
    for (const sizeBytes of sizesBytes) {
      for (const kind of Object.keys(PAYLOADS)) {
        const sent = PAYLOADS[kind](sizeBytes);
        const answer = event(socket, 'message');
        socket.send(sent);
        const bufferedAtOnce = socket.bufferedAmount;
        const { data } = await answer;
        const came = typeof data === 'string' ? 'text' : data.constructor.name;
        results.push({ kind, sizeBytes, came, same: await isSame(sent, data), bufferedAtOnce, buffered: socket.bufferedAmount });
      }
    }
    socket.close(1000);
    await event(socket, 'close');
    return results;
  }

  const ending = ({ code, reason, wasClean }) => ({ code, reason, wasClean });

  /** Opens, closes with these arguments, and tells how it ended. */
  async function closing(url, ...how) {
    const socket = new WebSocket(url);
    await event(socket, 'open');
    const closed = event(socket, 'close');
    socket.close(...how);
    const stateAtOnce = socket.readyState;
    return { ...ending(await closed), stateAtOnce, state: socket.readyState };
  }

  /** Opens, sends this text as often as asked, and then waits for the server to close. */
  async function closedByServer(url, text, times) {
    const socket = new WebSocket(url);
    await event(socket, 'open');
    const closed = event(socket, 'close');
    for (let sent = 0; sent < times; sent += 1) {
      socket.send(text);
    }
    return ending(await closed);
  }

  /** Offers these subprotocols; tells how it opened and what was agreed on. */
  async function agreed(url, subprotocols) {
    const socket = new WebSocket(url, subprotocols);
    let errors = 0;
    socket.addEventListener('error', () => { errors += 1; });
    const how = await opened(socket);
    const { protocol, extensions } = socket;
    socket.close();
    return { how, errors, protocol, extensions: extensions.split(';')[0] };
  }

  /** Opens a connection that stays, for `ended`. */
  async function hold(url) {
    const socket = new WebSocket(url);
    globalThis.held = event(socket, 'close').then(ending);
    return opened(socket);
  }

  return { violations, echoes, closing, closedByServer, agreed, hold };
})();
