// The comparison of two pictures, run by page/compare.py once its widget is in the page.
// Given by Gradio: `element`, the widget; `props.value`, {before, after} with a `url` each; `watch`.
const root = element.querySelector(".cmp");
const stage = root.querySelector(".cmp-stage");
const handle = root.querySelector(".cmp-handle");
const lens = root.querySelector(".cmp-lens");
const readout = root.querySelector(".cmp-zoom");
const layers = Object.fromEntries(["before", "after"].map((side) => [side, root.querySelector(`.cmp-${side}`)]));
const pictures = Object.fromEntries(Object.entries(layers).map(([side, layer]) => [side, layer.querySelector("img")]));
const button = (name) => root.querySelector(`[data-do="${name}"]`);

const size = { width: 0, height: 0 }; // pixels of the result
// scale: CSS pixels for each pixel; x, y: the pixel in the stage's middle; split: share of the visible picture
const view = { scale: 1, x: 0, y: 0, split: 0.5, side: "both", fitted: true, lens: false };
const lensAt = { x: 0, y: 0 }; // in the stage
let brush = null; // what brush.js puts here, where it is
const MOST = 16, STEP = 1.25; // times 100 %; a press of +
const NEAR = 28, THIN = 8; // CSS pixels around the handle; of a picture that its line would cover

const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
const whole = () => 1 / window.devicePixelRatio; // the scale that shows a pixel as a pixel
const alone = () => !layers.before.classList.contains("there") || !layers.after.classList.contains("there");
const least = () => Math.min(fitScale(), whole()), most = () => Math.max(MOST * whole(), fitScale());
const fitScale = () => Math.min(stage.clientWidth / size.width, stage.clientHeight / size.height);

function place() {
  // Where the picture lies in the stage: {left, top, width, height}, and its visible part, [from, to].
  const width = size.width * view.scale, height = size.height * view.scale;
  const grid = (value) => Math.round(value / whole()) * whole(); // on whole pixels of the screen: sharp at 100 %
  const left = grid(stage.clientWidth / 2 - view.x * view.scale);
  const top = grid(stage.clientHeight / 2 - view.y * view.scale);
  return { left, top, width, height, from: Math.max(0, left), to: Math.min(stage.clientWidth, left + width) };
}

function draw() {
  root.classList.toggle("narrow", root.clientWidth < 500);
  root.classList.toggle("tiny", root.clientWidth < 350);
  if (!size.width) return;
  view.scale = view.fitted ? fitScale() : clamp(view.scale, least(), most());
  const middle = (length, shown, at) =>
    length * view.scale <= shown ? length / 2 : clamp(at, shown / 2 / view.scale, length - shown / 2 / view.scale);
  view.x = middle(size.width, stage.clientWidth, view.x);
  view.y = middle(size.height, stage.clientHeight, view.y);
  const at = place();
  for (const picture of Object.values(pictures)) {
    Object.assign(picture.style, {
      left: `${at.left}px`, top: `${at.top}px`, width: `${at.width}px`, height: `${at.height}px`,
      imageRendering: view.scale > 3 * whole() && !view.fitted ? "pixelated" : "auto",
    });
  }
  const side = alone() ? (layers.after.classList.contains("there") ? "after" : "before") : view.side;
  const split = { both: at.from + view.split * (at.to - at.from), before: stage.clientWidth, after: 0 }[side];
  layers.before.style.clipPath = `inset(0 ${stage.clientWidth - split}px 0 0)`;
  layers.after.style.clipPath = `inset(0 0 0 ${split}px)`;
  handle.style.left = `${split}px`;
  handle.setAttribute("aria-valuenow", Math.round(100 * view.split));
  root.dataset.side = side;
  root.classList.toggle("alone", alone());
  root.classList.toggle("thin", at.width < THIN);
  root.classList.toggle("pans", at.width > stage.clientWidth + 1 || at.height > stage.clientHeight + 1);
  readout.textContent = `${Math.round((100 * view.scale) / whole())} %`;
  for (const name of ["before", "both", "after"]) button(name).setAttribute("aria-pressed", side === name);
  button("fit").setAttribute("aria-pressed", view.fitted);
  button("whole").setAttribute("aria-pressed", !view.fitted && Math.abs(view.scale - whole()) < 1e-6);
  button("lens").setAttribute("aria-pressed", view.lens);
  button("farther").setAttribute("aria-disabled", view.scale <= least());
  button("closer").setAttribute("aria-disabled", view.scale >= most());
  drawLens(at);
  brush?.drawn();
}

function drawLens(at) {
  lens.hidden = !view.lens || alone();
  if (lens.hidden) return;
  const scale = Math.max(whole(), 2 * view.scale), panes = lens.querySelectorAll(".cmp-pane");
  const x = (lensAt.x - at.left) / view.scale, y = (lensAt.y - at.top) / view.scale;
  for (const [i, name] of ["before", "after"].entries()) {
    const half = { x: panes[i].clientWidth / 2, y: panes[i].clientHeight / 2 };
    Object.assign(panes[i].style, {
      backgroundImage: `url("${pictures[name].src}")`,
      backgroundSize: `${size.width * scale}px ${size.height * scale}px`,
      backgroundPosition: `${half.x - x * scale}px ${half.y - y * scale}px`,
      imageRendering: scale > 3 * whole() ? "pixelated" : "auto",
    });
  }
  const room = (at, length, shown) => clamp(at - length / 2, 0, Math.max(0, shown - length));
  const above = lensAt.y - lens.offsetHeight - 18; // beside the finger or pointer, not under it
  lens.style.left = `${room(lensAt.x, lens.offsetWidth, stage.clientWidth)}px`;
  lens.style.top = `${above >= 0 ? above : Math.min(lensAt.y + 18, stage.clientHeight - lens.offsetHeight)}px`;
}

function zoom(scale, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  // Show at this scale; what lies at (x, y) of the stage stays there.
  const at = place();
  const kept = { x: (x - at.left) / view.scale, y: (y - at.top) / view.scale };
  view.fitted = false;
  view.scale = clamp(scale, least(), most());
  view.x = kept.x + (stage.clientWidth / 2 - x) / view.scale;
  view.y = kept.y + (stage.clientHeight / 2 - y) / view.scale;
  draw();
}

function splitAt(x) {
  const at = place();
  view.side = "both";
  view.split = clamp((x - at.from) / (at.to - at.from || 1), 0, 1);
  draw();
}

function pan(x, y) {
  view.x -= x / view.scale;
  view.y -= y / view.scale;
  draw();
}

function fullScreen() {
  const on = document.fullscreenElement === root || root.classList.contains("cmp-full");
  if (on) document.fullscreenElement ? document.exitFullscreen() : root.classList.remove("cmp-full");
  else if (root.requestFullscreen) root.requestFullscreen().catch(() => root.classList.add("cmp-full"));
  else root.classList.add("cmp-full"); // an iPhone, which gives the full screen to videos alone
}

const show = (side) => () => { view.side = side; draw(); };
const actions = {
  before: show("before"), both: show("both"), after: show("after"),
  toggle: () => show(view.side === "after" ? "before" : "after")(),
  fit: () => { view.fitted = true; draw(); },
  whole: () => zoom(whole()),
  closer: () => zoom(view.scale * STEP),
  farther: () => zoom(view.scale / STEP),
  lens: () => {
    view.lens = !view.lens;
    Object.assign(lensAt, { x: stage.clientWidth / 2, y: stage.clientHeight / 2 });
    draw();
  },
  full: fullScreen,
};
const keys = {
  " ": actions.toggle, b: actions.toggle, 1: actions.whole, 0: actions.fit, "+": actions.closer,
  "=": actions.closer, "-": actions.farther, l: actions.lens, f: actions.full,
};
const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function arrow(key, shift) {
  const [x, y] = arrows[key];
  if (shift && view.lens) Object.assign(lensAt, { x: lensAt.x + 20 * x, y: lensAt.y + 20 * y });
  else if (shift) pan(-40 * x, -40 * y);
  else { // as any slider: up and right go on
    view.side = "both";
    view.split = clamp(view.split + 0.02 * (x - y), 0, 1);
  }
  draw();
}

root.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !size.width) return;
  if (brush?.key(event)) return event.preventDefault();
  if (event.target.closest("input")) return; // which has keys of its own
  const pressed = event.target.closest("button") && (event.key === " " || event.key === "Enter");
  const act = keys[event.key.toLowerCase()];
  if (event.key === "Escape" && root.classList.contains("cmp-full")) root.classList.remove("cmp-full");
  else if (arrows[event.key]) arrow(event.key, event.shiftKey);
  else if (event.key === "Home" || event.key === "End") { view.side = "both"; view.split = +(event.key === "End"); draw(); }
  else if (act && !pressed) act();
  else return;
  event.preventDefault();
});
root.addEventListener("click", (event) => actions[event.target.closest("[data-do]")?.dataset.do]?.());

const fingers = new Map(); // pointers that are down: {x, y} in the stage
let drag = null; // "split", "pan", "pinch", "lens", "paint" or null
const spot = (event) => {
  const box = stage.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
};
stage.addEventListener("pointerdown", (event) => {
  if (event.button || !size.width) return;
  const at = spot(event), pans = root.classList.contains("pans");
  fingers.set(event.pointerId, at);
  stage.setPointerCapture(event.pointerId);
  const near = root.dataset.side === "both" && Math.abs(at.x - parseFloat(handle.style.left)) < NEAR;
  if (fingers.size > 1 && drag === "paint") brush.drop();
  if (fingers.size > 1) drag = "pinch";
  else if (brush?.on) drag = event.shiftKey ? "pan" : "paint";
  else if (view.lens && event.pointerType === "touch") drag = "lens";
  else drag = near || !pans ? "split" : "pan";
  if (drag === "split" && !alone() && !(view.lens && event.pointerType === "touch")) splitAt(at.x);
  if (drag === "paint") brush.down(at);
  const steers = brush?.on ? root.querySelector(".cmp-paper") : handle;
  steers.focus({ preventScroll: true }); // so that keys work after a click
});
stage.addEventListener("mousedown", (event) => event.preventDefault()); // else the focus goes to the page
stage.addEventListener("pointermove", (event) => {
  const at = spot(event), before = fingers.get(event.pointerId);
  if (view.lens && fingers.size < 2 && (!before || drag === "lens")) { Object.assign(lensAt, at); draw(); }
  if (drag === "paint" || !before) brush?.hover(at);
  if (!before) return;
  const gap = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y) || 1; };
  const apart = fingers.size > 1 ? gap() : 0;
  fingers.set(event.pointerId, at);
  if (drag === "pinch" && fingers.size > 1) {
    const [a, b] = [...fingers.values()];
    zoom((view.scale * gap()) / apart, (a.x + b.x) / 2, (a.y + b.y) / 2);
    pan((at.x - before.x) / 2, (at.y - before.y) / 2);
  } else if (drag === "split" && !alone()) splitAt(at.x);
  else if (drag === "pan") pan(at.x - before.x, at.y - before.y);
});
for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, (event) => {
    if (drag === "paint") end === "pointerup" ? brush.up() : brush.drop();
    fingers.delete(event.pointerId);
    drag = null;
  });
}
stage.addEventListener("dblclick", (event) => {
  if (brush?.on) return;
  const at = spot(event);
  view.fitted ? zoom(whole(), at.x, at.y) : actions.fit();
});
stage.addEventListener("wheel", (event) => {
  const full = document.fullscreenElement === root || root.classList.contains("cmp-full");
  if (brush?.on && root.classList.contains("pans") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    return pan(-event.deltaX, -event.deltaY);
  }
  if (!size.width || !(event.ctrlKey || event.metaKey || full)) return; // else the page scrolls
  event.preventDefault();
  const at = spot(event);
  zoom(view.scale * Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), at.x, at.y);
}, { passive: false });

let newest = 0;
async function load(value) {
  // Show new pictures once all of them have arrived; a picture that cannot be shown leaves the old ones.
  const turn = ++newest, loaded = {};
  for (const side of ["before", "after"]) {
    const url = value?.[side]?.url;
    if (!url) continue;
    const picture = new Image();
    picture.src = url;
    loaded[side] = picture;
  }
  try {
    await Promise.all(Object.values(loaded).map((picture) => picture.decode()));
  } catch {
    return;
  }
  if (turn !== newest) return;
  for (const side of ["before", "after"]) {
    layers[side].classList.toggle("there", side in loaded);
    if (side in loaded) pictures[side].src = loaded[side].src;
    else pictures[side].removeAttribute("src");
  }
  const main = loaded.after ?? loaded.before;
  Object.assign(size, { width: main?.naturalWidth ?? 0, height: main?.naturalHeight ?? 0 });
  Object.assign(view, { x: size.width / 2, y: size.height / 2, split: 0.5, side: "both", fitted: true });
  root.classList.toggle("empty", !main);
  draw();
}

new ResizeObserver(draw).observe(stage);
document.addEventListener("fullscreenchange", draw);
watch("value", () => { brush?.pictures(); load(props.value); });
load(props.value);
