// How connections end, as a page sees it.
// Invariant: code, reason and `wasClean` are compared together; no end is taken for granted.

import { checks } from '../interop/session.mjs';
import { Tab, foreignPage } from './harness.mjs';

const CLOSING = 2;
const CLOSED = 3;
const REASON_BYTES_MAX = 123;

const CLOSES = [
  { code: 1000, reason: '' },
  { code: 3000, reason: 'of a library' },
  { code: 4999, reason: '€'.repeat(REASON_BYTES_MAX / 3) },
  // RFC 6455 §7.1.5: a Close frame without a code is reported as 1005.
  { code: undefined, reason: '' },
];

function sameEnd(what, end, { code, reason = '', wasClean = true }) {
  checks.equal(`${what}: code`, end.code, code);
  checks.equal(`${what}: reason`, end.reason, reason);
  checks.equal(`${what}: clean`, end.wasClean, wasClean);
}

/** The page closes. */
export async function byThePage(browser, server, scheme) {
  const tab = await Tab.open(browser, server.page(scheme));
  for (const { code, reason } of CLOSES) {
    const what = `close(${code}, "${reason}") over ${scheme}`;
    checks.current = what;
    const how = code === undefined ? [] : [code, reason];
    const end = await tab.page.evaluate(([url, args]) => inPage.closing(url, ...args), [server.url('/echo', scheme), how]);
    checks.equal(`${what}: readyState at once`, end.stateAtOnce, CLOSING);
    checks.equal(`${what}: readyState at the end`, end.state, CLOSED);
    sameEnd(what, end, { code: code ?? 1005, reason });
  }
  await tab.close();
}

/** The server closes a connection that sends `times` messages of `text`. */
export async function byTheServer(browser, server, { path = '/echo', text, times = 1 }, expected) {
  const tab = await Tab.open(browser, server.page());
  const what = `server that closes with ${expected.code}`;
  checks.current = what;
  const end = await tab.page.evaluate((args) => inPage.closedByServer(...args), [server.url(path), text, times]);
  sameEnd(what, end, { ...expected, reason: end.reason });
  await tab.close();
}

/** The server is asked to end while a connection is open, and ends with exit code 0. */
export async function drained(browser, server, ask, code) {
  const tab = await Tab.open(browser, server.page());
  const what = `server that ends with ${code}`;
  checks.current = what;
  checks.equal(`${what}: before`, await tab.page.evaluate((url) => inPage.hold(url), server.url('/echo')), 'open');
  await ask();
  const end = await tab.page.evaluate(() => globalThis.held);
  sameEnd(what, end, { code, reason: end.reason });
  await tab.close();
}

/** A page of another origin asks for a connection; `expected` is how that opens. */
export async function fromAnotherOrigin(browser, server, path, expected) {
  const foreign = await foreignPage();
  const tab = await Tab.open(browser, foreign.url);
  const what = `connection from another origin to ${path}`;
  checks.current = what;
  const { how, errors } = await tab.page.evaluate((url) => inPage.agreed(url, []), server.url(path));
  const isRefused = expected !== 'open';
  checks.equal(what, how, expected);
  checks.equal(`${what}: error events`, errors, isRefused ? 1 : 0);
  // The browser tells the status to whoever looks at its console, not to the page.
  await tab.close(isRefused ? [/Unexpected response code: 403/] : []);
  foreign.end();
}
