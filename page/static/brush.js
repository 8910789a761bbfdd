// The brush of the comparison, which goes on from compare.js in its scope: what is painted on the photo is kept
// in `root.painted`, as page/brush.py reads it, and told by the event "input".
// Given by page/brush.py: the event "photo", with the path, the address and the pixels of the photo there is.
const row = root.querySelector(".cmp-brush");
const paper = root.querySelector(".cmp-paper");
const ring = root.querySelector(".cmp-ring");
const width = row.querySelector("input");
const USUAL = 10, LARGE = 20, PACE = 6;
// LARGE: the most pixels of the photo of a new brush; USUAL, PACE: CSS pixels of a new brush, of an arrow key

let photo = null; // {path, url, width}, the last in its pixels
let strokes = []; // {width, points: [[x, y]]} in shares of the photo's sides
let stroke = null; // the one being painted
const tip = { x: 0, y: 0, seen: false }; // where the brush is, in shares of the sides

const share = () => Number(width.value) / photo.width; // of the photo's width that the brush paints

function drawStrokes() {
  if (!brush.on || !size.width) return;
  const at = place(), fine = window.devicePixelRatio;
  paper.width = Math.round(stage.clientWidth * fine);
  paper.height = Math.round(stage.clientHeight * fine);
  const pen = paper.getContext("2d");
  pen.setTransform(fine, 0, 0, fine, 0, 0);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = getComputedStyle(paper).color;
  for (const { width, points } of stroke ? [...strokes, stroke] : strokes) {
    pen.lineWidth = Math.max(1, width * at.width);
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(at.left + x * at.width, at.top + y * at.height);
    const [x, y] = points[0];
    if (points.length === 1) pen.lineTo(at.left + x * at.width + 0.01, at.top + y * at.height);
    pen.stroke();
  }
  const across = Math.max(3, share() * at.width);
  ring.hidden = !tip.seen;
  Object.assign(ring.style, {
    left: `${at.left + tip.x * at.width}px`, top: `${at.top + tip.y * at.height}px`,
    width: `${across}px`, height: `${across}px`,
  });
  row.querySelector("output").textContent = `${width.value} px`;
}

function showTools() {
  row.hidden = !photo;
  root.classList.toggle("brushing", brush.on);
  button("brush").setAttribute("aria-pressed", brush.on);
  for (const name of ["undo", "clear"]) button(name).disabled = !strokes.length;
  draw();
}

function changed() {
  const round = (value) => Math.round(value * 1e5) / 1e5;
  root.painted = strokes.length
    ? JSON.stringify({
      photo: photo.path,
      strokes: strokes.map(({ width, points }) => ({ width, points: points.map((one) => one.map(round)) })),
    })
    : "";
  showTools();
  trigger("input");
}

function move(x, y) {
  Object.assign(tip, { x: clamp(x, 0, 1), y: clamp(y, 0, 1), seen: true });
  if (stroke) stroke.points.push([tip.x, tip.y]);
  draw();
}

function moveTo(at) {
  const shown = place();
  move((at.x - shown.left) / shown.width, (at.y - shown.top) / shown.height);
}

function begin() {
  stroke = { width: share(), points: [[tip.x, tip.y]] };
  draw();
}

function end() {
  if (!stroke) return;
  strokes.push(stroke);
  stroke = null;
  changed();
}

async function turn(on) {
  end();
  brush.on = on;
  tip.seen = false;
  await load(on ? { after: { url: photo.url } } : props.value);
  showTools();
  if (on) paper.focus({ preventScroll: true });
}

function follow() {
  // Show the place of the brush, which keys may have moved beyond the stage.
  const at = place(), x = at.left + tip.x * at.width, y = at.top + tip.y * at.height, edge = 30;
  const beyond = (value, shown) => Math.min(0, value - edge) + Math.max(0, value - shown + edge);
  if (root.classList.contains("pans")) pan(-beyond(x, stage.clientWidth), -beyond(y, stage.clientHeight));
}

const steered = { // by key; each is given the event
  " ": () => (stroke ? end() : begin()),
  "[": () => { width.stepDown(); draw(); },
  "]": () => { width.stepUp(); draw(); },
  Escape: () => { turn(false); button("brush").focus(); },
};

brush = {
  on: false,
  drawn: drawStrokes,
  hover: (at) => { if (brush.on) moveTo(at); },
  down: (at) => { moveTo(at); begin(); },
  up: end,
  drop: () => { stroke = null; draw(); }, // a second finger has come
  pictures: () => { // new ones, which the visitor wants to see
    if (!brush.on) return;
    end();
    brush.on = false;
    showTools();
  },
  key(event) { // whether it was for the brush
    if (!brush.on || event.target !== paper) return false;
    const steps = arrows[event.key];
    if (steps && !event.shiftKey) {
      const at = place();
      if (!tip.seen) Object.assign(tip, { x: 0.5, y: 0.5 });
      move(tip.x + (PACE * steps[0]) / at.width, tip.y + (PACE * steps[1]) / at.height);
      follow();
    } else if (steered[event.key]) {
      if (!tip.seen) move(0.5, 0.5);
      steered[event.key]();
    } else return false;
    return true;
  },
};

const undo = () => { strokes.pop(); changed(); };
Object.assign(actions, { brush: () => turn(!brush.on), undo, clear: () => { strokes = []; changed(); } });
width.addEventListener("input", draw);
stage.addEventListener("pointerleave", () => { if (!stroke) { tip.seen = false; draw(); } });
root.addEventListener("keydown", (event) => {
  if (!brush.on || event.key !== "z" || !(event.ctrlKey || event.metaKey) || !strokes.length) return;
  event.preventDefault();
  undo();
});

root.addEventListener("photo", ({ detail }) => {
  if (photo?.path === detail.path && detail.pixels) return;
  const painted = strokes.length > 0;
  Object.assign(brush, { on: false });
  [strokes, stroke] = [[], null];
  photo = detail.pixels ? { ...detail, width: Number(detail.pixels.split("x")[0]) } : null;
  if (photo) {
    const shown = Math.min(stage.clientWidth / photo.width, stage.clientHeight / Number(detail.pixels.split("x")[1]));
    width.value = Math.round(clamp(USUAL / shown, 4, LARGE));
  }
  if (painted) changed();
  showTools();
});
