// The page of a camera: draws region, masks and line, and shows the image quality.
import { listen, startImages } from "./streams.js";
import { svg } from "./svg.js";

const page = document.querySelector("#camera");
const drawing = document.querySelector("#drawing");
const view = JSON.parse(page.dataset.view); // normalised coordinates (0-1)
const MIN_POINTS = { roi: 3, masks: 3, line: 2 };
let tool = "roi";
let points = [];

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

function draw() {
  drawing.replaceChildren();
  if (view.roi) drawing.append(svg("polygon", { class: "roi", points: svgPoints(view.roi) }));
  for (const mask of view.masks ?? []) drawing.append(svg("polygon", { class: "masks", points: svgPoints(mask) }));
  if (view.line) drawing.append(svg("polyline", { class: "line", points: svgPoints(view.line) }));
  drawing.append(svg("polyline", { class: tool, points: svgPoints(points) }));
  for (const [x, y] of points) drawing.append(svg("circle", { cx: 1000 * x, cy: 1000 * y, r: 6 }));
  document.querySelector("#toml").value = toml() || "# nothing drawn: the whole image is used";
  for (const key of Object.keys(MIN_POINTS)) {
    const field = document.querySelector(`#save [name="${key}"]`);
    if (field) field.value = JSON.stringify(view[key] ?? null);
  }
}

function finishShape() {
  if (points.length < MIN_POINTS[tool]) return;
  if (tool === "masks") view.masks = [...(view.masks ?? []), points];
  else view[tool] = points;
  points = [];
  draw();
}

drawing.addEventListener("click", (click) => {
  const area = drawing.getBoundingClientRect();
  const x = rounded((click.clientX - area.left) / area.width);
  const y = rounded((click.clientY - area.top) / area.height);
  points.push([Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))]);
  if (tool === "line" && points.length === 2) finishShape();
  draw();
});

for (const button of document.querySelectorAll("[data-tool]")) {
  button.addEventListener("click", () => {
    tool = button.dataset.tool;
    points = [];
    for (const other of document.querySelectorAll("[data-tool]")) other.setAttribute("aria-pressed", other === button);
    draw();
  });
}
document.querySelector("#finish").addEventListener("click", finishShape);
document.querySelector("#undo-point").addEventListener("click", () => { points.pop(); draw(); });
document.querySelector("#clear").addEventListener("click", () => {
  view[tool] = tool === "masks" ? [] : null;
  points = [];
  draw();
});
document.querySelector("#save")?.addEventListener("submit", finishShape);

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
  `/cameras/${encodeURIComponent(page.dataset.camera)}/quality`,
  { quality: showQuality },
  () => showHints(["You are logged out. Log in on another page to continue here."]),
);
draw();
startImages();
