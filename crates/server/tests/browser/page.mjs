// The page itself, used as its users do: by pointer, by keyboard alone, by files that are dropped.
// Invariant: every test opens the page anew and ends with nothing on its console and no breach of its policy.

import { readFile } from 'node:fs/promises';

import { checks, incompressible } from '../interop/session.mjs';
import { Tab } from './harness.mjs';

const MEBIBYTE = 1 << 20;
const ROWS_MAX = 500;
// What Tab reaches before anything is connected, in this order; radio buttons are one stop.
const STOPS_CLOSED = [
  'skip', 'url', 'subprotocols', 'connect', 'blob', 'close-code', 'close-reason', 'text', 'drawing', 'clear-drawing',
  'clear-log', 'log', 'rtt', 'many-count', 'many-open',
];

/** What the page answers to plain requests. */
export async function answers(server) {
  const get = (path, method = 'GET') => fetch(server.page() + path.slice(1), { method });
  const page = await get('/');
  const policy = page.headers.get('content-security-policy');
  checks.equal('status of /', page.status, 200);
  checks.equal('type of /', page.headers.get('content-type'), 'text/html; charset=utf-8');
  checks.equal(`policy ${policy} lets nothing in by default`, policy.startsWith("default-src 'none';"), true);
  checks.equal(`policy ${policy} has no unsafe source`, policy.includes('unsafe'), false);
  checks.equal('no other type is guessed', page.headers.get('x-content-type-options'), 'nosniff');
  const body = await page.text();
  checks.equal('body of /index.html', await (await get('/index.html')).text(), body);
  const head = await get('/', 'HEAD');
  checks.equal('length told to HEAD /', head.headers.get('content-length'), String(Buffer.byteLength(body)));
  checks.equal('body for HEAD /', await head.text(), '');
  checks.equal('type of the icon', (await get('/favicon.ico')).headers.get('content-type'), 'image/svg+xml');
  checks.equal('status of /echo without Upgrade', (await get('/echo')).status, 426);
}

async function connected(browser, server, options) {
  const tab = await Tab.open(browser, server.page(), options);
  await tab.page.click('#connect');
  await tab.shows('state-text', 'open');
  return tab;
}

const last = (tab, way) => tab.page.locator(`#log li.${way}`).last();

/** Waits for this message received, counted from 1, and gives the texts of its row. */
async function received(tab, number) {
  checks.current = `message ${number} received`;
  const row = tab.page.locator('#log li.received').nth(number - 1);
  const kind = await row.locator('.kind').evaluate((element) => element.lastChild.data);
  // What is said of a binary message is found out behind the row; its link comes last.
  await row.locator(kind === 'text' ? '.body' : '.body a').waitFor();
  return { kind, size: await row.locator('.size').innerText(), body: await row.locator('.body').innerText() };
}

/** Connects, sends text, changes binaryType, closes with a code and a reason, connects again. */
export async function conversation(browser, server, { scheme = 'ws', extension }) {
  const tab = await Tab.open(browser, server.page(scheme));
  checks.equal('URL that is there', await tab.page.inputValue('#url'), server.url('/echo', scheme));
  await tab.shows('ready-state', 'no socket');
  checks.equal('sending is possible before', await tab.page.isDisabled('#send'), true);
  await tab.page.click('#connect');
  await tab.shows('ready-state', '1 OPEN');
  await tab.shows('protocol', '–');
  await tab.shows('extensions', extension ? /^permessage-deflate/ : '–');

  const markup = '<b id="bold">not</b> markup: aé€𝄞';
  await tab.page.fill('#text', markup);
  await tab.page.press('#text', 'Enter');
  const text = await received(tab, 1);
  checks.equal('kind of a text', text.kind, 'text');
  checks.equal('size of a text', text.size, `${Buffer.byteLength(markup)} B`);
  checks.equal('text in the log', text.body, markup);
  checks.equal('elements made of a text', await tab.page.locator('#bold').count(), 0);
  checks.equal('text left in its field', await tab.page.inputValue('#text'), markup);

  await tab.page.check('[value="arraybuffer"]');
  await tab.page.click('#send-drawing');
  checks.equal('kind after the switch', (await received(tab, 2)).kind, 'arraybuffer');

  await tab.page.fill('#close-code', '1001');
  await tab.page.click('#close');
  await tab.logs('error', 'not closed: ');
  await tab.page.fill('#close-code', '3000');
  await tab.page.fill('#close-reason', 'enough');
  await tab.page.click('#close');
  await tab.shows('last-close', '3000 “enough”, clean');
  await tab.shows('ready-state', '3 CLOSED');
  checks.equal('sending is possible afterwards', await tab.page.isDisabled('#send'), true);

  await tab.page.fill('#url', '/elsewhere?a=b#fragment');
  await tab.page.click('#connect');
  await tab.shows('ready-state', '1 OPEN');
  await tab.logs('event', `connecting to ${server.url('/elsewhere?a=b', scheme)}`);
  await tab.close();
}

/** A file that is chosen, one that is dropped, and a drawing: bytes come back as they were. */
export async function binaries(browser, server) {
  const tab = await connected(browser, server, { acceptDownloads: true });
  const bytes = incompressible(MEBIBYTE);
  await tab.page.setInputFiles('#file', { name: 'a.bin', mimeType: 'application/octet-stream', buffer: bytes });
  const file = await received(tab, 1);
  checks.equal('kind of a file', file.kind, 'blob');
  checks.equal('size of a file', file.size, '1,048,576 B');
  checks.equal('start of a file', file.body.slice(0, 8), bytes.toString('hex', 0, 3).replace(/..\B/g, '$& '));
  const [download] = await Promise.all([
    tab.page.waitForEvent('download'), last(tab, 'received').locator('a').click(),
  ]);
  checks.equal('file that came back', await readFile(await download.path()), bytes);
  await tab.shows('buffered', '0 B');
  await tab.shows('buffered-peak', 'peak 1,048,576 B');

  await tab.page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(['dropped'], 'b.txt'));
    document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
  });
  checks.equal('dropped file', (await received(tab, 2)).body, '64 72 6f 70 70 65 64 download');

  await draw(tab);
  const { first, last: end } = await tab.page.evaluate(ink);
  checks.equal(`the drawing goes from the left to the right: ${first} to ${end} of 480`, first < 60 && end > 420, true);
  await tab.page.click('#send-drawing');
  await received(tab, 3);
  const image = last(tab, 'received').locator('img');
  await image.waitFor();
  const isSame = await image.evaluate((picture) => {
    const drawing = document.getElementById('drawing');
    const copy = new OffscreenCanvas(drawing.width, drawing.height).getContext('2d');
    copy.drawImage(picture, 0, 0);
    const pixels = (context) => context.getImageData(0, 0, drawing.width, drawing.height).data;
    const [left, right] = [pixels(copy), pixels(drawing.getContext('2d'))];
    return left.every((byte, index) => byte === right[index]);
  });
  checks.equal('drawing that came back as a picture', isSame, true);
  await tab.close();
}

/** Runs in the page: the first and the last column of the drawing that is not white all over. */
function ink() {
  const drawing = document.getElementById('drawing');
  const { width, height } = drawing;
  // Read from a copy: Chromium warns where the same canvas is read twice.
  const copy = new OffscreenCanvas(width, height).getContext('2d');
  copy.drawImage(drawing, 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  const columns = Array.from({ length: width }, (_, x) => x)
    .filter((x) => Array.from({ length: height }, (_, y) => data[(y * width + x) * 4]).some((red) => red !== 255));
  return { first: columns.at(0), last: columns.at(-1) };
}

/** Draws a wave with the pointer. */
export async function draw(tab) {
  await tab.page.locator('#drawing').scrollIntoViewIfNeeded();
  const { x, y, width, height } = await tab.page.locator('#drawing').boundingBox();
  const point = (part) => [
    x + width * (0.08 + 0.84 * part), y + height * (0.5 - 0.33 * Math.sin(part * 9) * (1 - part * 0.6)),
  ];
  await tab.page.mouse.move(...point(0));
  await tab.page.mouse.down();
  for (let step = 1; step <= 40; step += 1) {
    await tab.page.mouse.move(...point(step / 40));
  }
  await tab.page.mouse.up();
}

/** More messages than the log holds. */
export async function fullLog(browser, server) {
  const tab = await connected(browser, server);
  await tab.page.fill('#text', 'again');
  for (let sent = 0; sent < ROWS_MAX / 2 + 1; sent += 1) {
    await tab.page.press('#text', 'Enter');
  }
  await tab.shows('received', /^251 messages/);
  // Two rows more are those of the opening.
  await tab.shows('log-count', 'the last 500 of 504');
  checks.equal('rows of the log', await tab.page.locator('#log li').count(), ROWS_MAX);
  checks.equal('the newest row is in sight', await tab.page.evaluate(() => {
    const list = document.getElementById('log');
    return list.scrollHeight - list.scrollTop - list.clientHeight < 2;
  }), true);
  await tab.page.click('#clear-log');
  checks.equal('rows after Clear', await tab.page.locator('#log li').count(), 0);
  await tab.close();
}

/** Round-trip times appear, and their texts do not appear as messages. */
export async function roundTrips(browser, server) {
  const tab = await connected(browser, server);
  await tab.page.check('#rtt');
  for (const id of ['rtt-min', 'rtt-median', 'rtt-p99']) {
    await tab.shows(id, /^\d+\.\d+ ms$/);
  }
  checks.equal('what is said of the plot', /^Round-trip times, the last \d+: median/.test(await tab.page.getAttribute('#plot', 'aria-label')), true);
  checks.equal('messages in the log', await tab.page.locator('#log li.received, #log li.sent').count(), 0);
  await tab.close();
}

/** Many connections at once: opened, counted, closed. */
export async function manyConnections(browser, server) {
  const tab = await Tab.open(browser, server.page());
  await tab.page.fill('#many-count', '1001');
  await tab.page.click('#many-open');
  await tab.shows('many-status', 'a whole number of 1 to 1000, please');
  await tab.page.fill('#many-count', '100');
  await tab.page.click('#many-open');
  await tab.shows('many-status', '100 open, 0 connecting, 0 failed');
  await tab.page.fill('#many-count', '50');
  await tab.page.click('#many-open');
  await tab.shows('many-status', '150 open, 0 connecting, 0 failed');
  await tab.page.click('#many-close');
  await tab.shows('many-status', '0 open, 0 connecting, 0 failed, 150 closed');
  await tab.close();
}

/** The whole of it without a pointer: every stop is named and seen, and the focus is never lost. */
export async function keyboardAlone(browser, server) {
  const tab = await Tab.open(browser, server.page());
  const stops = [];
  for (const stop of STOPS_CLOSED) {
    await tab.page.keyboard.press('Tab');
    stops.push(await tab.page.evaluate(focused));
    checks.equal(`stop of the Tab key at ${stop}: it can be seen`, stops.at(-1).isSeen, true);
    checks.equal(`stop of the Tab key at ${stop}: it has a name`, stops.at(-1).isNamed, true);
  }
  checks.equal('stops of the Tab key', stops.map(({ id }) => id).join(' '), STOPS_CLOSED.join(' '));
  await tab.page.keyboard.press('Home');

  const until = async (id, key) => {
    for (let pressed = 0; (await tab.page.evaluate(focused)).id !== id; pressed += 1) {
      checks.equal(`${id} is reached within 30 presses of ${key}`, pressed < 30, true);
      await tab.page.keyboard.press(key);
    }
  };
  await until('connect', 'Shift+Tab');
  await tab.page.keyboard.press('Enter');
  await tab.shows('ready-state', '1 OPEN');
  await until('text', 'Tab');
  await tab.page.keyboard.press('Control+A');
  await tab.page.keyboard.type('first');
  await tab.page.keyboard.press('Shift+Enter');
  await tab.page.keyboard.type('second');
  await tab.page.keyboard.press('Enter');
  checks.equal('text typed', (await received(tab, 1)).body, 'first\nsecond');
  await until('drawing', 'Tab');
  await tab.page.keyboard.press('ArrowRight');
  const { first, last: end } = await tab.page.evaluate(ink);
  // A step of 8 from the middle, with a pen of 5.
  checks.equal('columns drawn with an arrow key', `${first} to ${end}`, '237 to 250');
  await until('send-drawing', 'Tab');
  await tab.page.keyboard.press('Space');
  checks.equal('kind of a drawing', (await received(tab, 2)).kind, 'blob');
  await tab.page.keyboard.press('Escape');
  await tab.shows('last-close', '1000, clean');
  // The control that had the focus cannot be used any more.
  checks.equal('focus after the end', (await tab.page.evaluate(focused)).id, 'connect');
  await tab.close();
}

/** Runs in the page: what has the focus. */
function focused() {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const labels = [...(element.labels ?? [])].map((label) => label.textContent);
  const name = [element.ariaLabel, element.getAttribute('aria-labelledby'), ...labels, element.textContent].find((text) => text?.trim());
  const isSeen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return { id: element.id || element.value || element.className, isSeen, isNamed: Boolean(name) };
}
