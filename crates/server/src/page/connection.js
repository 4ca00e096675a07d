// The socket of the page: opening, closing, and what the interface says of it.
// Invariant: `socket` is the newest one; an event of an older one is written to the log and changes nothing else.

const $ = (id) => document.getElementById(id);
const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const HOME = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host || 'localhost:9998'}/echo`;
const REFRESH_MS = 100;

let socket = null;
let bufferedPeak = 0;
const counts = { sent: { messages: 0, bytes: 0 }, received: { messages: 0, bytes: 0 } };

const bytesText = (bytes) => `${bytes.toLocaleString('en')} B`;
const isOpen = () => socket?.readyState === WebSocket.OPEN;
const isLive = () => socket !== null && socket.readyState <= WebSocket.OPEN;
const binaryType = () => document.querySelector('[name="binary-type"]:checked').value;

/** The URL that was typed; a path alone is one of this server. */
function targetUrl() {
  const url = new URL($('url').value.trim() || HOME, HOME);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  url.hash = '';
  return url.href;
}

const targetSubprotocols = () => $('subprotocols').value.split(',').map((name) => name.trim()).filter(Boolean);

function connect() {
  if (isLive()) {
    socket.close(1000);
  }
  let opened;
  try {
    opened = new WebSocket(targetUrl(), targetSubprotocols());
  } catch (error) {
    log({ direction: 'error', text: `not connected: ${error.message}` });
    return;
  }
  socket = opened;
  socket.binaryType = binaryType();
  bufferedPeak = 0;
  for (const way of Object.values(counts)) {
    way.messages = 0;
    way.bytes = 0;
  }
  $('last-close').textContent = '–';
  log({ direction: 'event', text: `connecting to ${opened.url}` });
  opened.addEventListener('open', onOpen);
  opened.addEventListener('message', onMessage);
  opened.addEventListener('error', () => log({ direction: 'error', text: 'error: the browser does not tell pages why' }));
  opened.addEventListener('close', onClose);
  refresh();
}

function onOpen({ target }) {
  const { protocol, extensions } = target;
  const details = [protocol && `subprotocol ${protocol}`, extensions && `extensions ${extensions}`].filter(Boolean);
  log({ direction: 'event', text: ['open', ...details].join(', ') });
  refresh();
}

function onMessage({ target, data }) {
  if (target !== socket || takeRoundTrip(data)) {
    return;
  }
  count('received', log({ direction: 'received', data }));
  refresh();
}

function onClose({ target, code, reason, wasClean }) {
  const text = `${code}${reason ? ` “${reason}”` : ''}, ${wasClean ? 'clean' : 'not clean'}`;
  log({ direction: wasClean ? 'event' : 'error', text: `closed: ${text}` });
  if (target === socket) {
    $('last-close').textContent = text;
    forgetRoundTrips();
  }
  refresh();
}

/** Closes with the code and the reason that were typed; without a code the Close frame is empty. */
function close() {
  if (!isLive()) {
    return;
  }
  const code = $('close-code').value.trim();
  const reason = $('close-reason').value;
  try {
    if (code === '' && reason !== '') {
      throw new Error('a reason needs a code in front of it');
    }
    socket.close(...(code === '' ? [] : [Number(code), reason]));
  } catch (error) {
    log({ direction: 'error', text: `not closed: ${error.message}` });
  }
  refresh();
}

/** Sends text or bytes as one message, and writes it to the log. */
function send(data) {
  if (!isOpen()) {
    log({ direction: 'error', text: 'not sent: there is no open connection' });
    return;
  }
  socket.send(data);
  count('sent', log({ direction: 'sent', data }));
  refresh();
}

function count(way, bytes) {
  counts[way].messages += 1;
  counts[way].bytes += bytes;
}

/** Shows the state of the socket, which changes without an event too: `bufferedAmount`, and CLOSING. */
function refresh() {
  const state = socket ? socket.readyState : null;
  const name = state === null ? 'not connected' : STATES[state].toLowerCase();
  const set = (id, text) => {
    if ($(id).textContent !== text) {
      $(id).textContent = text;
    }
  };
  $('state').dataset.state = state ?? 3;
  set('state-text', name);
  set('ready-state', state === null ? 'no socket' : `${state} ${STATES[state]}`);
  set('protocol', socket?.protocol || '–');
  set('extensions', socket?.extensions || '–');
  const buffered = socket?.bufferedAmount ?? 0;
  bufferedPeak = Math.max(bufferedPeak, buffered);
  set('buffered', bytesText(buffered));
  set('buffered-peak', bufferedPeak > 0 ? `peak ${bytesText(bufferedPeak)}` : '');
  for (const [way, { messages, bytes }] of Object.entries(counts)) {
    set(way, `${messages.toLocaleString('en')} messages, ${bytesText(bytes)}`);
  }
  set('connect', isLive() ? 'Reconnect' : 'Connect');
  enable();
}

/** A control that cannot be used is disabled; where it had the focus, the next useful one gets it. */
function enable() {
  const focused = document.activeElement;
  for (const id of ['send', 'file', 'send-drawing']) {
    $(id).disabled = !isOpen();
  }
  $('close').disabled = !isLive();
  if (focused?.disabled) {
    $('connect').focus();
  }
}

$('url').value = HOME;
$('connect-form').addEventListener('submit', (event) => {
  event.preventDefault();
  connect();
});
$('close-form').addEventListener('submit', (event) => {
  event.preventDefault();
  close();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !event.isComposing) {
    close();
  }
});
for (const choice of document.querySelectorAll('[name="binary-type"]')) {
  choice.addEventListener('change', () => {
    if (socket) {
      socket.binaryType = binaryType();
    }
  });
}
setInterval(refresh, REFRESH_MS);
