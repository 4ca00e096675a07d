// The package `ws` of Node against an echo server.
//
//     NODE_PATH=…/node_modules node node_ws.mjs ws://127.0.0.1:9998/echo --compression off|declined|on
//
// Invariant: every connection is checked to use compression exactly when it must.

import { once } from 'node:events';
import { createRequire } from 'node:module';

import {
  MESSAGE_BYTES_MAX, REASON_BYTES_MAX, Session, checks, compressible, incompressible, messagesOfEverySize,
  messagesWithoutWaiting, pieces, run, textOf,
} from './session.mjs';

// A required package is looked for in NODE_PATH as well, an imported one is not.
const WebSocket = createRequire(import.meta.url)('ws');

// What a client can offer, by name. The first is what the package offers by itself.
const OFFERS = {
  'the offer of the package': {},
  'no server takeover': { serverNoContextTakeover: true },
  'no client takeover': { clientNoContextTakeover: true },
  'no takeover': { serverNoContextTakeover: true, clientNoContextTakeover: true },
  'windows of 10 bits': { serverMaxWindowBits: 10, clientMaxWindowBits: 10 },
};

const CLOSES = [
  [1000, ''],
  [1001, 'the page is left'],
  [3000, 'of a library'],
  [4999, '€'.repeat(REASON_BYTES_MAX / 3)],
  [undefined, undefined],
];

await run(async (url, compression) => {
  const open = (offer) => openSession(url, compression, offer);
  const session = await open();
  await messagesOfEverySize(session);
  await messagesWithoutWaiting(session);
  await fragments(session);
  await pings(session);
  await session.close(1000);
  for (const offer of compression === 'off' ? [] : Object.keys(OFFERS)) {
    await oneOffer(await open(offer), offer);
  }
  for (const [code, reason] of CLOSES) {
    await (await open()).close(code, reason);
  }
  await oneByteTooMany(await open(), 'compressible', compressible(MESSAGE_BYTES_MAX));
  await oneByteTooMany(await open(), 'incompressible', incompressible(MESSAGE_BYTES_MAX));
  await subprotocols(url);
});

async function openSession(url, compression, offer = Object.keys(OFFERS)[0]) {
  // Without a threshold the package sends messages below 1 KiB as they are.
  const perMessageDeflate = compression === 'off' ? false : { threshold: 0, ...OFFERS[offer] };
  const socket = new WebSocket(url, { perMessageDeflate });
  const session = new Session(socket);
  const [response] = await once(socket, 'upgrade');
  await session.opened;
  const header = response.headers['sec-websocket-extensions'];
  const name = compression === 'on' ? 'permessage-deflate' : undefined;
  checks.equal(`extension named in the response to ${offer}`, header?.split(';')[0].trim(), name);
  checks.equal(`extension in use after ${offer}`, socket.extensions, name ?? '');
  return session;
}

async function oneOffer(session, offer) {
  for (const sizeBytes of [0, 5, 1000, 100_000, 1000]) {
    await session.echo(`text of ${sizeBytes} bytes after ${offer}`, textOf(sizeBytes));
    await session.echo(`binary of ${sizeBytes} bytes after ${offer}`, incompressible(sizeBytes));
  }
  await session.close(1000);
}

/** Sends each piece as a frame; `binary: false` makes text of bytes, which may be cut inside of characters. */
function sendPieces(session, list, binary) {
  list.forEach((piece, index) => session.socket.send(piece, { binary, fin: index === list.length - 1 }));
}

async function fragments(session) {
  const text = textOf(10_007);
  const binary = incompressible(100_003);
  for (const count of [1, 2, 3, 50]) {
    sendPieces(session, pieces(Buffer.from(text), count), false);
    await session.answered(`text in ${count} fragments`, text);
    sendPieces(session, pieces(binary, count), true);
    await session.answered(`binary in ${count} fragments`, binary);
  }
  sendPieces(session, ['', 'first', '', 'last', ''].map((piece) => Buffer.from(piece)), false);
  await session.answered('fragments of which some are empty', 'firstlast');
  const largest = incompressible(MESSAGE_BYTES_MAX);
  sendPieces(session, pieces(largest, 16), true);
  await session.answered('the largest message in 16 fragments', largest);
}

async function pings(session) {
  const pong = async (payload) => {
    checks.current = `pong of ${payload.length} bytes`;
    const arrived = once(session.socket, 'pong');
    session.socket.ping(payload);
    checks.equal(`pong of ${payload.length} bytes`, (await arrived)[0], payload);
  };
  for (const sizeBytes of [0, 4, 125]) {
    await pong(incompressible(sizeBytes));
  }
  session.socket.pong('nobody asked');
  await session.echo('text after a pong that nobody asked for', 'still here');
  session.socket.send('before', { fin: false });
  await pong(Buffer.from('between'));
  session.socket.send(', after', { fin: true });
  await session.answered('text around a ping', 'before, after');
}

async function oneByteTooMany(session, kind, largest) {
  // The byte too many is a fragment of its own, so that nothing is on its way when the server closes.
  sendPieces(session, [largest, Buffer.from('!')], true);
  checks.current = `Close for a ${kind} message of 16 MiB + 1`;
  checks.equal(checks.current, (await session.closed).code, 1009);
}

/** The package takes it for an error when a server chooses none of the subprotocols offered, and says so. */
async function subprotocols(url) {
  const { opened } = new Session(new WebSocket(url, ['chat', 'superchat']));
  const refusal = await opened.then(() => 'opened', (error) => error.message);
  checks.equal('opening with subprotocols offered', refusal, 'Server sent no subprotocol');
}
