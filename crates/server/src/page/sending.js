// What is sent by hand: text, files, a drawing. Invariant: each is one message.

const PEN = { colour: '#0b5c96', width: 5, step: 8 };

$('text-form').addEventListener('submit', (event) => {
  event.preventDefault();
  send($('text').value);
});
$('text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send($('text').value);
  }
});

function sendFiles(files) {
  for (const file of files) {
    send(file);
  }
}

$('file').addEventListener('change', () => {
  sendFiles($('file').files);
  // Otherwise the same file, chosen again, is no change.
  $('file').value = '';
});

// The whole page takes a drop: a file that misses the field would replace the page.
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  event.dataTransfer.dropEffect = isOpen() ? 'copy' : 'none';
  $('drop').classList.add('over');
});
document.addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) {
    $('drop').classList.remove('over');
  }
});
document.addEventListener('drop', (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  sendFiles(event.dataTransfer.files);
});

const paper = $('drawing').getContext('2d');
const pen = { x: $('drawing').width / 2, y: $('drawing').height / 2, isDown: false };

function clearDrawing() {
  paper.fillStyle = '#fff';
  paper.fillRect(0, 0, $('drawing').width, $('drawing').height);
}

function lineTo(x, y) {
  Object.assign(paper, { strokeStyle: PEN.colour, lineWidth: PEN.width, lineCap: 'round' });
  paper.beginPath();
  paper.moveTo(pen.x, pen.y);
  paper.lineTo(x, y);
  paper.stroke();
  Object.assign(pen, { x, y });
}

/** Where the pointer is, in pixels of the drawing. */
function place({ offsetX, offsetY }) {
  const { width, height, clientWidth, clientHeight } = $('drawing');
  return [(offsetX * width) / clientWidth, (offsetY * height) / clientHeight];
}

$('drawing').addEventListener('pointerdown', (event) => {
  $('drawing').setPointerCapture(event.pointerId);
  [pen.x, pen.y] = place(event);
  pen.isDown = true;
  lineTo(pen.x, pen.y);
});
$('drawing').addEventListener('pointermove', (event) => {
  if (pen.isDown) {
    lineTo(...place(event));
  }
});
for (const end of ['pointerup', 'pointercancel']) {
  $('drawing').addEventListener(end, () => {
    pen.isDown = false;
  });
}
$('drawing').addEventListener('keydown', (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (way) {
    event.preventDefault();
    const inside = (value, max) => Math.min(Math.max(value, 0), max);
    const { width, height } = $('drawing');
    lineTo(inside(pen.x + way[0] * PEN.step, width), inside(pen.y + way[1] * PEN.step, height));
  }
});
$('clear-drawing').addEventListener('click', clearDrawing);
$('send-drawing').addEventListener('click', () => $('drawing').toBlob(send, 'image/png'));
clearDrawing();
