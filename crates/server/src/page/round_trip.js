// Round-trip times. Invariant: a time is the one between a text and the same text coming back.

const SAMPLES_MAX = 120;
const ROUND_TRIP_MS = 1000;
const UNANSWERED_MAX = 5;
const PREFIX = 'gannet-round-trip ';

let samples = [];
// When each text left that has not come back, by the text.
const underway = new Map();

function sendRoundTrip() {
  if (!$('rtt').checked || !isOpen() || underway.size >= UNANSWERED_MAX) {
    return;
  }
  const text = PREFIX + crypto.getRandomValues(new Uint32Array(2)).join('-');
  underway.set(text, performance.now());
  socket.send(text);
}

/** Whether `data` is a text of ours that came back; it is not shown as a message then. */
function takeRoundTrip(data) {
  const sent = underway.get(data);
  if (sent === undefined) {
    return false;
  }
  underway.delete(data);
  samples = [...samples.slice(1 - SAMPLES_MAX), performance.now() - sent];
  showRoundTrips();
  return true;
}

function forgetRoundTrips() {
  underway.clear();
}

const msText = (ms) => `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`;

function showRoundTrips() {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)];
  for (const [id, share] of [['rtt-min', 0], ['rtt-median', 0.5], ['rtt-p99', 0.99]]) {
    $(id).textContent = sorted.length ? msText(at(share)) : '–';
  }
  $('plot').ariaLabel = sorted.length
    ? `Round-trip times, the last ${sorted.length}: median ${msText(at(0.5))}, p99 ${msText(at(0.99))}`
    : 'Round-trip times: none yet';
  drawPlot();
}

/** The next of 1, 2, 5, 10 … at or above `value`, so that the scale does not change with every sample. */
function scaleOf(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 0.1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function drawPlot() {
  const canvas = $('plot');
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  [canvas.width, canvas.height] = [width * ratio, height * ratio];
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`);
  const draw = canvas.getContext('2d');
  draw.scale(ratio, ratio);
  const [left, right, top, bottom] = [8, width - 8, 10, height - 8];
  const scale = scaleOf(Math.max(...samples, 0.5));
  draw.font = '11px system-ui, sans-serif';
  draw.lineWidth = 1;
  draw.strokeStyle = colour('line');
  draw.fillStyle = colour('soft');
  for (const part of [0, 0.5, 1]) {
    const y = Math.round(bottom - (bottom - top) * part) + 0.5;
    draw.beginPath();
    draw.moveTo(left, y);
    draw.lineTo(right, y);
    draw.stroke();
    if (part > 0) {
      draw.fillText(`${scale * part} ms`, left, y + 12);
    }
  }
  const points = samples.map((sample, index) => [
    right - ((samples.length - 1 - index) * (right - left - 44)) / (SAMPLES_MAX - 1),
    bottom - ((bottom - top) * sample) / scale,
  ]);
  Object.assign(draw, { strokeStyle: colour('accent'), fillStyle: colour('accent'), lineWidth: 1.75, lineJoin: 'round' });
  draw.beginPath();
  points.forEach(([x, y]) => draw.lineTo(x, y));
  draw.stroke();
  for (const [x, y] of points.slice(-1)) {
    draw.beginPath();
    draw.arc(x, y, 3, 0, 2 * Math.PI);
    draw.fill();
  }
}

$('rtt').addEventListener('change', sendRoundTrip);
setInterval(sendRoundTrip, ROUND_TRIP_MS);
new ResizeObserver(drawPlot).observe($('plot'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawPlot);
