// The page of a camera: draws region, masks and line, and shows the image quality.
import { listen, startImages } from "./streams.js";
import { svg } from "./svg.js";

const page = document.querySelector("#camera");
const drawing = document.querySelector("#drawing");
const view = JSON.parse(page.dataset.view); // normalised coordinates (0-1)
const MIN_POINTS = { roi: 3, masks: 3, line: 2 };
const NAMES = { roi: "region", masks: "mask", line: "line" };
const unfinished = { roi: [], masks: [], line: [] }; // points of shapes that are being drawn
let tool = "roi";
let dragged = null; // the point under the pointer
let wasDragged = false;

const rounded = (value) => Math.round(1000 * value) / 1000;
const shapeText = (shape) => `[${shape.map(([x, y]) => `[${rounded(x)}, ${rounded(y)}]`).join(", ")}]`;
const svgPoints = (shape) => shape.map(([x, y]) => `${1000 * x},${1000 * y}`).join(" ");

function toml() {
  const lines = [];
  if (view.roi) lines.push(`roi = ${shapeText(view.roi)}`);
  if (view.masks?.length) lines.push(`masks = [${view.masks.map(shapeText).join(", ")}]`);
  if (view.line) lines.push(`line = ${shapeText(view.line)}`);
  return lines.join("\n");
}

// The shapes that are drawn, each with its points.
function shapes() {
  return [["roi", view.roi], ...(view.masks ?? []).map((mask) => ["masks", mask]), ["line", view.line]].filter(([, shape]) => shape);
}

// An arrow from the side "out" to the side "in" of the line: to the right, seen from its first point.
function wayArrow([[x1, y1], [x2, y2]]) {
  const { width, height } = drawing.getBoundingClientRect();
  const [dx, dy] = [(x2 - x1) * width, (y2 - y1) * height];
  const length = Math.hypot(dx, dy) || 1;
  const [rightX, rightY] = [-dy / length / width, dx / length / height]; // one pixel to the right
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  const at = (right, along) => [x + right * rightX + along * dx / length / width, y + right * rightY + along * dy / length / height];
  const label = (text, right) => {
    const [left, top] = at(right, 14);
    const words = svg("text", { transform: `translate(${1000 * left} ${1000 * top}) scale(${height / width} 1)` });
    words.textContent = text;
    return words;
  };
  const arrow = [at(-36, 0), at(36, 0), at(24, -8), at(36, 0), at(24, 8)];
  return [svg("polyline", { class: "line", points: svgPoints(arrow) }), label("in", 36), label("out", -30)];
}

function draw() {
  drawing.replaceChildren();
  for (const [kind, shape] of shapes()) drawing.append(svg(kind === "line" ? "polyline" : "polygon", { class: kind, points: svgPoints(shape) }));
  if (view.line) drawing.append(...wayArrow(view.line));
  for (const [kind, points] of Object.entries(unfinished)) drawing.append(svg("polyline", { class: kind, points: svgPoints(points) }));
  for (const shape of [...shapes().map(([, shape]) => shape), ...Object.values(unfinished)]) {
    for (const point of shape) {
      const corner = svg("circle", { cx: 1000 * point[0], cy: 1000 * point[1], r: 7 });
      corner.addEventListener("pointerdown", (event) => { dragged = point; event.preventDefault(); });
      drawing.append(corner);
    }
  }
  document.querySelector("#toml").value = toml() || "# nothing drawn: the whole image is used";
  for (const key of Object.keys(MIN_POINTS)) {
    const field = document.querySelector(`#save [name="${key}"]`);
    if (field) field.value = JSON.stringify(view[key] ?? null);
  }
}

function finishShape(kind) {
  if (unfinished[kind].length < MIN_POINTS[kind]) return;
  if (kind === "masks") view.masks = [...(view.masks ?? []), unfinished[kind]];
  else view[kind] = unfinished[kind];
  unfinished[kind] = [];
  draw();
}

function toImage(event) {
  const area = drawing.getBoundingClientRect();
  const normalised = (value) => Math.min(1, Math.max(0, rounded(value)));
  return [normalised((event.clientX - area.left) / area.width), normalised((event.clientY - area.top) / area.height)];
}

drawing.addEventListener("click", (click) => {
  if (wasDragged) { wasDragged = false; return; }
  unfinished[tool].push(toImage(click));
  if (tool === "line" && unfinished.line.length === 2) finishShape("line");
  draw();
});
addEventListener("pointermove", (event) => {
  if (!dragged) return;
  [dragged[0], dragged[1]] = toImage(event);
  draw();
});
addEventListener("pointerup", () => {
  wasDragged = dragged !== null;
  dragged = null;
  setTimeout(() => { wasDragged = false; }); // after the click, if there is one
});
addEventListener("resize", draw);

for (const button of document.querySelectorAll("[data-tool]")) {
  button.addEventListener("click", () => {
    tool = button.dataset.tool;
    for (const other of document.querySelectorAll("[data-tool]")) other.setAttribute("aria-pressed", other === button);
    draw();
  });
}
document.querySelector("#finish").addEventListener("click", () => finishShape(tool));
document.querySelector("#undo-point").addEventListener("click", () => { unfinished[tool].pop(); draw(); });
document.querySelector("#swap").addEventListener("click", () => { view.line?.reverse(); draw(); });
document.querySelector("#clear").addEventListener("click", () => {
  view[tool] = tool === "masks" ? [] : null;
  unfinished[tool] = [];
  draw();
});
document.querySelector("#save")?.addEventListener("submit", (submit) => {
  Object.keys(MIN_POINTS).forEach(finishShape);
  const kind = Object.keys(MIN_POINTS).find((each) => unfinished[each].length);
  const warning = document.querySelector("#unfinished");
  warning.hidden = !kind;
  if (!kind) return;
  warning.textContent = `The ${NAMES[kind]} is not finished: it needs ${MIN_POINTS[kind]} points. Add points, or undo those that are there.`;
  submit.preventDefault();
});

function showHints(hints) {
  const items = hints.map((hint) => Object.assign(document.createElement("li"), { textContent: hint }));
  document.querySelector("#hints").replaceChildren(...items);
}

function showQuality(quality) {
  if (!quality) return; // the measurements of the last plate stay on the page
  const set = (id, value) => { document.querySelector(`#quality-${id}`).textContent = value; };
  set("plate", quality.plate || "unreadable");
  set("height", `${quality.height} px`);
  set("sharpness", quality.sharpness.toFixed(2));
  set("angle", [quality.tilt, quality.skew].map((degrees) => `${Math.round(degrees) || 0}°`).join(", ")); // no "-0"
  set("brightness", quality.brightness);
  showHints(quality.hints);
}

listen(
  `cameras/${encodeURIComponent(page.dataset.camera)}/quality`,
  { quality: showQuality },
  () => showHints(["You are logged out. Log in on another page to continue here."]),
);
draw();
startImages();
