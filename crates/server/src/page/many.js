// Many idle connections at once. Invariant: at most OPENING_MAX of them are being opened at any time, CONNECTIONS_MAX exist.

// Chromium delays each by up to 5 s, halved for each less than 16 that are being opened.
const OPENING_MAX = 8;
const CONNECTIONS_MAX = 1000;
const STUCK_MS = 3000;

const many = { sockets: new Set(), wanted: 0, connecting: 0, open: 0, failed: 0, ended: 0 };
const manyHint = $('many-hint').textContent;
let stuck = 0;
let showing = 0;

const missing = () => many.wanted - many.connecting - many.open - many.failed - many.ended;

function openMany(count) {
  Object.assign(many, { wanted: many.connecting + many.open, failed: 0, ended: 0 });
  many.wanted = Math.min(many.wanted + count, CONNECTIONS_MAX);
  openMore();
}

function openMore() {
  while (missing() > 0 && many.connecting < OPENING_MAX) {
    try {
      openOne();
    } catch (error) {
      log({ direction: 'error', text: `not connected: ${error.message}` });
      many.wanted = many.connecting + many.open + many.failed + many.ended;
    }
  }
  showManySoon();
}

function openOne() {
  const one = new WebSocket(targetUrl(), targetSubprotocols());
  let wasOpen = false;
  many.connecting += 1;
  many.sockets.add(one);
  one.addEventListener('open', () => {
    wasOpen = true;
    many.connecting -= 1;
    many.open += 1;
    openMore();
  });
  one.addEventListener('close', () => {
    many[wasOpen ? 'open' : 'connecting'] -= 1;
    many[wasOpen ? 'ended' : 'failed'] += 1;
    many.sockets.delete(one);
    openMore();
  });
}

function closeMany() {
  many.wanted -= missing();
  for (const one of many.sockets) {
    one.close(1000);
  }
  showManySoon();
}

/** At most ten times a second, so that a thousand openings do not mean a thousand announcements. */
function showManySoon() {
  showing ||= setTimeout(showMany, REFRESH_MS);
}

function showMany() {
  showing = 0;
  const { open, connecting, failed, ended, wanted } = many;
  const parts = [`${open} open`, `${connecting} connecting`, `${failed} failed`];
  $('many-status').textContent = [...parts, ...(ended > 0 ? [`${ended} closed`] : [])].join(', ');
  $('many-progress').max = Math.max(wanted, 1);
  $('many-progress').value = open;
  const hadFocus = document.activeElement === $('many-close');
  $('many-close').disabled = many.sockets.size === 0;
  if (hadFocus && $('many-close').disabled) {
    $('many-open').focus();
  }
  $('many-hint').textContent = manyHint;
  clearTimeout(stuck);
  if (connecting > 0) {
    stuck = setTimeout(() => {
      $('many-hint').textContent = `No further one opened within ${STUCK_MS / 1000} s: the limit of the browser, or of the server.`;
    }, STUCK_MS);
  }
}

$('many-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const count = Number($('many-count').value);
  if (Number.isInteger(count) && count >= 1 && count <= CONNECTIONS_MAX) {
    openMany(count);
  } else {
    $('many-status').textContent = `a whole number of 1 to ${CONNECTIONS_MAX}, please`;
  }
});
$('many-close').addEventListener('click', closeMany);
refresh();
showRoundTrips();
showLogCount();
