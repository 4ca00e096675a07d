// The WebSocket of Node itself against an echo server. It sends no fragments, no pings, and always offers compression.
//
//     node node_websocket.mjs ws://127.0.0.1:9998/echo --compression declined|on
//
// Invariant: every connection is checked to use compression exactly when it must.

import {
  MESSAGE_BYTES_MAX, REASON_BYTES_MAX, Session, checks, compressible, messagesOfEverySize, messagesWithoutWaiting, run,
} from './session.mjs';

// Node 20 gives up a connection on which a larger compressed message comes.
const INFLATED_BYTES_MAX = 4 << 20;

// The interface of browsers lets a page close with these only.
const CLOSES = [
  [1000, ''],
  [3000, 'of a library'],
  [4999, '€'.repeat(REASON_BYTES_MAX / 3)],
  [undefined, undefined],
];

await run(async (url, compression) => {
  const open = () => openSession(url, compression);
  const session = await open();
  await messagesOfEverySize(session, compression === 'on' ? INFLATED_BYTES_MAX : MESSAGE_BYTES_MAX);
  await messagesWithoutWaiting(session);
  await session.close(1000);
  for (const [code, reason] of CLOSES) {
    await (await open()).close(code, reason);
  }
  await oneByteTooMany(await open(), compression);
  await subprotocols(url);
});

async function openSession(url, compression) {
  const session = new Session(new WebSocket(url));
  await session.opened;
  const [name] = session.socket.extensions.split(';');
  checks.equal('extension named in the response', name, compression === 'on' ? 'permessage-deflate' : '');
  return session;
}

/**
 * The message is one frame, refused at its header. Uncompressed, most of it is still on its way then; the server reads
 * 64 KiB of that and closes, and the reset which that causes may overtake the Close frame.
 */
async function oneByteTooMany(session, compression) {
  session.socket.send(compressible(MESSAGE_BYTES_MAX + 1));
  checks.current = 'Close for a message of 16 MiB + 1';
  const { code } = await session.closed;
  const isLost = compression === 'declined' && code === 1006;
  checks.equal(checks.current, isLost ? 1009 : code, 1009);
}

/** By the rules of browsers it is an error when a server chooses none of the subprotocols offered. */
async function subprotocols(url) {
  const { opened } = new Session(new WebSocket(url, ['chat', 'superchat']));
  const refusal = await opened.then(() => 'opened', (error) => error.message);
  checks.equal(`a missing subprotocol is what "${refusal}" speaks of`, /protocol/.test(refusal), true);
}
