// The server and its page in Chromium.
//
//     NODE_PATH=…/node_modules node main.mjs --gannet PATH --chromium PATH --pictures DIRECTORY
//
// Invariant: it prints `ok N checks`, or the first difference and ends with 1; no wait is without an end.

import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { checks } from '../interop/session.mjs';
import { byThePage, byTheServer, drained, fromAnotherOrigin } from './endings.mjs';
import { Gannet, Tab, launch } from './harness.mjs';
import { everySize, extensions, subprotocol } from './messages.mjs';
import * as page from './page.mjs';
import { pictures } from './looks.mjs';

const RUN_MS_MAX = 240_000;

const { values: options } = parseArgs({
  options: { gannet: { type: 'string' }, chromium: { type: 'string' }, pictures: { type: 'string' } },
});
const echo = (...flags) => Gannet.start(options.gannet, ['echo', '--listen', '127.0.0.1:0', ...flags]);

/** Everything that `gannet echo` can show. */
async function echoServer(browser) {
  const plain = await echo();
  await page.answers(plain);
  await page.conversation(browser, plain, { extension: false });
  await page.binaries(browser, plain);
  await page.fullLog(browser, plain);
  await page.roundTrips(browser, plain);
  await page.manyConnections(browser, plain);
  await page.keyboardAlone(browser, plain);
  await everySize(browser, plain, 'ws');
  await extensions(browser, plain, '');
  await subprotocol(browser, plain, '/echo', [], '');
  await subprotocol(browser, plain, '/echo', ['soap', 'xmpp'], undefined);
  await byThePage(browser, plain, 'ws');
  await fromAnotherOrigin(browser, plain, '/echo', 'open');
  let code;
  await drained(browser, plain, async () => { code = await plain.stop(); }, 1001);
  checks.equal('exit code after SIGTERM', code, 0);

  const compressing = await echo('--compression', 'shared', '--max-message-bytes', '20000000');
  await extensions(browser, compressing, 'permessage-deflate');
  await page.conversation(browser, compressing, { extension: true });
  await everySize(browser, compressing, 'ws');
  await pictures(browser, compressing, options.pictures);
  await compressing.stop();

  const strict = await echo('--max-message-bytes', '1000');
  await byTheServer(browser, strict, { text: 'x'.repeat(1001) }, { code: 1009 });
  await strict.stop();
}

async function main() {
  const browser = await launch(options.chromium);
  await echoServer(browser);
  await browser.close();
}

const late = setTimeout(() => end(`no end within ${RUN_MS_MAX} ms; it waited for: ${checks.current}`), RUN_MS_MAX);
try {
  await main();
  clearTimeout(late);
  console.log(`ok ${checks.count} checks`);
} catch (error) {
  const picture = join(options.pictures, 'failed.png');
  await Tab.newest?.page.screenshot({ path: picture, fullPage: true }).catch(() => {});
  end(`${error.message}\nunder way: ${checks.current}; a picture of it may be in ${picture}`);
}

function end(difference) {
  console.error(difference);
  process.exit(1);
}
