// What the tests in a real browser share: servers, the browser, and pages whose complaints are collected.
// Invariant: no server outlives the script, and a page is closed only after its complaints were compared.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { checks } from '../interop/session.mjs';

// A required package is looked for in NODE_PATH as well, an imported one is not.
const { chromium } = createRequire(import.meta.url)('playwright-core');

const IN_PAGE = fileURLToPath(new URL('in_page.js', import.meta.url));
const START_MS_MAX = 20_000;

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** A running server. */
export class Gannet {
  #child;

  constructor(child, startLine) {
    this.#child = child;
    /** Where it listens, without a path: `ws://…` first, `wss://…` if there is one. */
    this.urls = startLine.match(/wss?:\/\/[^\s/,]+/g) ?? [];
  }

  /** Starts `program` and waits for its start line. */
  static async start(program, args) {
    const env = { ...process.env, RUST_LOG: 'warn' };
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    children.add(child);
    child.once('exit', () => children.delete(child));
    const lines = createInterface({ input: child.stdout });
    const [line] = await Promise.race([
      once(lines, 'line', { signal: AbortSignal.timeout(START_MS_MAX) }),
      once(child, 'exit').then(([code]) => [`it ended with ${code}`]),
    ]);
    const server = new Gannet(child, line);
    if (server.urls.length === 0) {
      throw new Error(`${program} ${args.join(' ')} did not start: ${line}`);
    }
    return server;
  }

  url(path, scheme = 'ws') {
    return this.urls.find((url) => url.startsWith(`${scheme}:`)) + path;
  }

  /** The URL of its page, over TLS for `wss`. */
  page(scheme = 'ws') {
    return this.url('/', scheme).replace(/^ws/, 'http');
  }

  signal(name) {
    this.#child.kill(name);
  }

  /** Ends the server; gives its exit code. */
  async stop() {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const [code] = await ended;
    return code;
  }
}

/** Starts the browser at this path; certificates need no authority. */
export function launch(executablePath, flags = []) {
  // --no-sandbox: Chromium has no sandbox for root, and the pages are ours.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--headless=new', ...flags] });
}

/** A page and what it complained about: errors and warnings of the console, exceptions, breaches of its policy. */
export class Tab {
  complaints = [];

  static async open(browser, url, options = {}) {
    const tab = new Tab();
    tab.context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 860 }, ...options });
    await tab.context.addInitScript({ path: IN_PAGE });
    tab.page = await tab.context.newPage();
    tab.page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        tab.complaints.push(message.text());
      }
    });
    tab.page.on('pageerror', (error) => tab.complaints.push(error.message));
    await tab.page.goto(url);
    Tab.newest = tab;
    return tab;
  }

  text(id) {
    return this.page.locator(`#${id}`).innerText();
  }

  /** Waits until the element has this text, then counts it as a check. */
  async shows(id, expected) {
    checks.current = `text of #${id} to become ${expected}`;
    const pattern = expected instanceof RegExp ? expected.source : `^${escaped(expected)}$`;
    const matches = ([name, source]) => new RegExp(source).test(document.getElementById(name).textContent);
    const came = await this.page.waitForFunction(matches, [id, pattern]).then(() => true, () => false);
    checks.equal(`text of #${id}`, came ? expected : await this.text(id), expected);
  }

  /** Waits for a row of this kind in the log of the page that contains `text`, then counts it as a check. */
  async logs(kind, text) {
    checks.current = `row of kind ${kind} with ${text}`;
    await this.page.locator(`#log li.${kind} .body`, { hasText: text }).waitFor();
    checks.equal(checks.current, true, true);
  }

  /** Compares the complaints with those that the test expects, in any order, and closes the page. */
  async close(expected = []) {
    const unexpected = this.complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
    checks.equal(`unexpected complaints of ${this.page.url()}`, unexpected.join('\n'), '');
    const missing = expected.filter((pattern) => !this.complaints.some((text) => pattern.test(text)));
    checks.equal(`missing complaints of ${this.page.url()}`, missing.join('\n'), '');
    const violations = await this.page.evaluate('inPage.violations');
    checks.equal(`breaches of the policy of ${this.page.url()}`, violations.join('\n'), '');
    await this.context.close();
  }
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** A page of another origin, with nothing on it; gives its URL and a function that ends it. */
export async function foreignPage() {
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><link rel="icon" href="data:,"><title>foreign</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/`, end: () => server.close() };
}
