// Drawing of region, masks and line on the picture, and how well plates are seen.
import { listen, watch } from "./streams.js";

const setup = document.querySelector("#setup");
const drawing = document.querySelector("#drawing");
const view = JSON.parse(setup.dataset.view);
const least = { roi: 3, masks: 3, line: 2 };
let tool = "roi";
let points = [];

const rounded = (value) => Math.round(1000 * value) / 1000;
const text = (shape) => `[${shape.map(([x, y]) => `[${rounded(x)}, ${rounded(y)}]`).join(", ")}]`;

function toml() {
  const lines = [];
  if (view.roi) lines.push(`roi = ${text(view.roi)}`);
  if (view.masks?.length) lines.push(`masks = [${view.masks.map(text).join(", ")}]`);
  if (view.line) lines.push(`line = ${text(view.line)}`);
  return lines.join("\n");
}

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const scaled = (shape) => shape.map(([x, y]) => `${1000 * x},${1000 * y}`).join(" ");

function draw() {
  drawing.replaceChildren();
  if (view.roi) drawing.append(svg("polygon", { class: "roi", points: scaled(view.roi) }));
  for (const mask of view.masks ?? []) drawing.append(svg("polygon", { class: "masks", points: scaled(mask) }));
  if (view.line) drawing.append(svg("polyline", { class: "line", points: scaled(view.line) }));
  drawing.append(svg("polyline", { class: tool, points: scaled(points) }));
  for (const [x, y] of points) drawing.append(svg("circle", { cx: 1000 * x, cy: 1000 * y, r: 6 }));
  document.querySelector("#toml").value = toml() || "# the whole picture counts";
  for (const key of Object.keys(least)) {
    const field = document.querySelector(`#save [name="${key}"]`);
    if (field) field.value = JSON.stringify(view[key] ?? null);
  }
}

function finish() {
  if (points.length < least[tool]) return;
  if (tool === "masks") view.masks = [...(view.masks ?? []), points];
  else view[tool] = points;
  points = [];
  draw();
}

drawing.addEventListener("click", (click) => {
  const place = drawing.getBoundingClientRect();
  const x = rounded((click.clientX - place.left) / place.width);
  const y = rounded((click.clientY - place.top) / place.height);
  points.push([Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))]);
  if (tool === "line" && points.length === 2) finish();
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
document.querySelector("#finish").addEventListener("click", finish);
document.querySelector("#back").addEventListener("click", () => { points.pop(); draw(); });
document.querySelector("#clear").addEventListener("click", () => {
  view[tool] = tool === "masks" ? [] : null;
  points = [];
  draw();
});

document.querySelector("#save")?.addEventListener("submit", finish);

function showHints(hints) {
  const lines = hints.map((hint) => Object.assign(document.createElement("li"), { textContent: hint }));
  document.querySelector("#hints").replaceChildren(...lines);
}

function showQuality(seen) {
  if (!seen) return; // the last plate stays to be read
  const set = (id, value) => { document.querySelector(`#aid-${id}`).textContent = value; };
  set("plate", seen.plate || "unreadable");
  set("height", `${seen.height} px`);
  set("sharpness", seen.sharpness.toFixed(2));
  set("angle", `${seen.tilt.toFixed(0)}°, ${seen.skew.toFixed(0)}°`);
  set("brightness", `${seen.brightness} of 255`);
  showHints(seen.hints);
}

listen(
  `/cameras/${encodeURIComponent(setup.dataset.camera)}/quality`,
  { quality: showQuality },
  () => showHints(["You are logged out: log in on another page, and this one goes on."]),
);
draw();
watch();
