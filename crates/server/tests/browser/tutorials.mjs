// The example settings and their two pages, as a user would open them.
// Invariant: pages and settings are those in `docs/examples/`, unchanged. They name the ports 9998 and 8080, which the browser
// maps to the ones that were free.

import { fileURLToPath } from 'node:url';

import { checks } from '../interop/session.mjs';
import { Gannet, Tab, launch } from './harness.mjs';

const SETTINGS = fileURLToPath(new URL('../../../../docs/examples/gannet.toml', import.meta.url));
const ANYWHERE = '127.0.0.1:0';
const HOST = 'http://localhost:9998';

/** Opens the page of the server and both examples. */
export async function tutorials(chromium, program) {
  const flags = ['--config', SETTINGS, '--listen', ANYWHERE, '--listen', ANYWHERE, '--admin-listen', 'off'];
  const server = await Gannet.start(program, ['serve', ...flags]);
  const [echo, say] = server.urls.map((url) => new URL(url).port);
  const rules = `MAP localhost:9998 127.0.0.1:${echo}, MAP localhost:8080 127.0.0.1:${say}`;
  const browser = await launch(chromium, [`--host-resolver-rules=${rules}`]);
  await ownPage(browser);
  await echoPage(browser);
  await sayPage(browser);
  await browser.close();
  checks.equal('exit code after SIGTERM', await server.stop(), 0);
}

async function ownPage(browser) {
  const tab = await Tab.open(browser, `${HOST}/`);
  await tab.page.click('#connect');
  await tab.shows('ready-state', '1 OPEN');
  await tab.close();
}

/** Sends, gets it back, says goodbye, and is closed by the server. */
async function echoPage(browser) {
  const tab = await Tab.open(browser, `${HOST}/pages/echo.html`);
  await tab.page.click('text=Run');
  const lines = tab.page.locator('#log li');
  checks.current = 'end of the echo example';
  await lines.filter({ hasText: 'closed' }).waitFor();
  const expected = 'open, received: Hello, server, received: Goodbye, closed: 1000, clean';
  checks.equal('lines of the echo example', (await lines.allInnerTexts()).join(', '), expected);
  await tab.close();
}

/** Types two messages, markup in one of them, and reads the answers in the list. */
async function sayPage(browser) {
  const tab = await Tab.open(browser, `${HOST}/pages/say.html`);
  const answers = tab.page.locator('#answers li');
  for (const [index, text] of ['Hello', '<i>"you"</i>'].entries()) {
    checks.current = `answer to ${text}`;
    // The page does not send what is typed before its connection is open, and leaves it in the field.
    await tab.page.waitForFunction(() => socket.readyState === WebSocket.OPEN);
    await tab.page.fill('#text', text);
    await tab.page.press('#text', 'Enter');
    checks.equal(checks.current, await answers.nth(index).innerText(), `Server: You said "${text}"`);
  }
  await tab.close();
}
