// An echo server of the package `ws` for Node with its default settings, for `cargo xtask conformance`.
//
//     npm install --prefix /tmp/ws ws
//     NODE_PATH=/tmp/ws/node_modules node crates/engine/tests/conformance/peers/node_ws.mjs [PORT]

import { createRequire } from 'node:module';

// Unlike `import`, this looks for packages in NODE_PATH.
const { WebSocketServer } = createRequire(import.meta.url)('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2] ?? 0) });
server.on('listening', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
server.on('connection', (socket) => {
  // Without a listener an error of one connection would end the process.
  socket.on('error', () => {});
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
