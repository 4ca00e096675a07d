// Messages and what is agreed on, over the WebSocket of the browser itself.
// Invariant: a message that comes back is compared byte for byte, at every size where the form of a frame changes.

import { checks } from '../interop/session.mjs';
import { Tab } from './harness.mjs';

const SIZES_BYTES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20];
const CAME_AS = { blob: 'Blob', arraybuffer: 'ArrayBuffer' };

/** Text, Blob, ArrayBuffer and a view of every size, received as each binaryType. */
export async function everySize(browser, server, scheme) {
  const tab = await Tab.open(browser, server.page(scheme));
  for (const [binaryType, binary] of Object.entries(CAME_AS)) {
    checks.current = `messages over ${scheme} as ${binaryType}`;
    const results = await tab.page.evaluate(
      ([url, type, sizes]) => inPage.echoes(url, type, sizes),
      [server.url('/echo', scheme), binaryType, SIZES_BYTES],
    );
    for (const { kind, sizeBytes, came, same, bufferedAtOnce, buffered } of results) {
      const what = `${kind} of ${sizeBytes} bytes over ${scheme} as ${binaryType}`;
      checks.equal(`${what}: what came back`, came, kind === 'text' ? 'text' : binary);
      checks.equal(`${what}: the same bytes`, same, true);
      checks.equal(`${what}: bufferedAmount behind send`, bufferedAtOnce, sizeBytes);
      checks.equal(`${what}: bufferedAmount behind the answer`, buffered, 0);
    }
  }
  await tab.close();
}

/** Offers subprotocols; `expected` is the protocol, or undefined where the browser must give up. */
export async function subprotocol(browser, server, path, offered, expected) {
  const tab = await Tab.open(browser, server.page());
  const what = `subprotocol of ${path} for [${offered}]`;
  checks.current = what;
  const { how, errors, protocol } = await tab.page.evaluate(
    ([url, names]) => inPage.agreed(url, names),
    [server.url(path), offered],
  );
  checks.equal(`${what}: how it opened`, how, expected === undefined ? 'closed 1006, clean false' : 'open');
  checks.equal(`${what}: error events`, errors, expected === undefined ? 1 : 0);
  checks.equal(what, protocol, expected ?? '');
  // The rules of browsers: of the subprotocols that were offered the server must choose one.
  await tab.close(expected === undefined ? [/WebSocket connection to .* failed/] : []);
}

/** Whether `extensions` names permessage-deflate. */
export async function extensions(browser, server, expected) {
  const tab = await Tab.open(browser, server.page());
  checks.current = 'extensions';
  const agreed = await tab.page.evaluate((url) => inPage.agreed(url, []), server.url('/echo'));
  checks.equal('extensions', agreed.extensions, expected);
  await tab.close();
}
