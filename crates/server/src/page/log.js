// The log of messages. Invariant: what a peer sent is shown as text or as a picture, and never becomes markup; at most
// ROWS_MAX rows and about KEPT_BYTES_MAX bytes of binary messages are held.

const ROWS_MAX = 500;
const KEPT_BYTES_MAX = 64 << 20;
const TEXT_SHOWN_MAX = 2000;
const HEX_BYTES = 24;
const FLUSH_MS = 30;
const MARKS = { sent: ['↑', 'sent'], received: ['↓', 'received'], event: ['·', 'event'], error: ['!', 'error'] };
const PICTURES = [
  ['image/png', 'png', '89504e470d0a1a0a'], ['image/jpeg', 'jpg', 'ffd8ff'], ['image/gif', 'gif', '47494638'],
  ['image/webp', 'webp', '52494646........57454250'],
];

let logged = 0;
let waiting = [];
// Links to binary messages, oldest first: { url, bytes, row }.
let kept = [];

/** Writes a row: `text` of the page itself, or `data` of a message, whose size in bytes is returned. */
function log({ direction, text, data }) {
  const entry = { direction, time: new Date(), number: logged += 1 };
  if (data === undefined) {
    Object.assign(entry, { kind: direction, text });
  } else if (typeof data === 'string') {
    Object.assign(entry, { kind: 'text', text: data, size: new Blob([data]).size });
  } else {
    const blob = data instanceof Blob ? data : new Blob([data]);
    Object.assign(entry, { kind: data instanceof Blob ? 'blob' : 'arraybuffer', blob, size: blob.size });
  }
  if (waiting.length === 0) {
    setTimeout(flush, FLUSH_MS);
  }
  // What would be pushed out at once is never made into a row.
  waiting = [...waiting.slice(1 - ROWS_MAX), entry];
  return entry.size ?? 0;
}

/** Rows are made in one go: a flood of messages costs one layout, not one for each. */
function flush() {
  const list = $('log');
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 48;
  list.append(...waiting.map(row));
  waiting = [];
  while (list.childElementCount > ROWS_MAX) {
    list.firstElementChild.remove();
  }
  kept = kept.filter((link) => link.row.isConnected || release(link));
  if (follows) {
    list.scrollTop = list.scrollHeight;
  }
  showLogCount();
}

function showLogCount() {
  const rows = $('log').childElementCount;
  $('log-empty').hidden = rows > 0;
  $('log-count').textContent = rows === logged ? '' : `the last ${rows} of ${logged.toLocaleString('en')}`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The local time of day, with milliseconds. */
function clock(time) {
  return `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

function row(entry) {
  const item = element('li', entry.direction, '');
  const [sign, word] = MARKS[entry.direction];
  const mark = element('span', 'mark', sign);
  mark.setAttribute('aria-hidden', 'true');
  const time = element('time', '', clock(entry.time));
  time.dateTime = entry.time.toISOString();
  const size = element('span', 'size', entry.size === undefined ? '' : bytesText(entry.size));
  const body = element('div', 'body', '');
  const kind = element('span', 'kind', '');
  kind.append(element('span', 'unseen', `${word} `), entry.kind);
  item.append(mark, time, kind, size, body);
  if (entry.blob) {
    describeBinary(entry, item, body);
  } else {
    body.textContent = shortened(entry.text);
  }
  return item;
}

function shortened(text) {
  const rest = text.length - TEXT_SHOWN_MAX;
  return rest <= 0 ? text : `${text.slice(0, TEXT_SHOWN_MAX)}… and ${rest.toLocaleString('en')} characters more`;
}

/** The first bytes in hexadecimal, a link to the whole, and a received picture as a picture. */
async function describeBinary({ blob, direction, number }, item, body) {
  const head = new Uint8Array(await blob.slice(0, HEX_BYTES).arrayBuffer());
  const digits = Array.from(head, (byte) => byte.toString(16).padStart(2, '0'));
  const picture = PICTURES.find(([, , start]) => new RegExp(`^${start}`).test(digits.join('')));
  const [type, ending] = picture ?? ['application/octet-stream', 'bin'];
  body.textContent = `${digits.join(' ')}${blob.size > HEX_BYTES ? ' …' : ''}`;
  if (blob.size === 0 || !item.isConnected) {
    return;
  }
  const url = URL.createObjectURL(blob.slice(0, blob.size, type));
  const link = element('a', '', 'download');
  link.href = url;
  link.download = `message-${number}.${ending}`;
  body.append(' ', link);
  if (picture && direction === 'received') {
    await showPicture(url, number, body);
  }
  keep({ url, bytes: blob.size, row: item });
}

async function showPicture(url, number, body) {
  const image = new Image();
  image.src = url;
  image.alt = `Picture in message ${number}`;
  try {
    await image.decode();
  } catch {
    return;
  }
  const list = $('log');
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 48;
  body.append(image);
  if (follows) {
    list.scrollTop = list.scrollHeight;
  }
}

/** Holds the bytes behind a link until newer ones need the place. */
function keep(link) {
  kept.push(link);
  let bytes = kept.reduce((sum, { bytes: each }) => sum + each, 0);
  while (bytes > KEPT_BYTES_MAX && kept.length > 1) {
    const oldest = kept.shift();
    bytes -= oldest.bytes;
    oldest.row.querySelector('a')?.replaceWith(element('span', 'hint', ' no longer kept'));
    release(oldest);
  }
}

function release({ url }) {
  URL.revokeObjectURL(url);
  return false;
}

$('clear-log').addEventListener('click', () => {
  waiting = [];
  $('log').replaceChildren();
  kept = kept.filter(release);
  logged = 0;
  showLogCount();
});
