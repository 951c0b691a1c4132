// The page "Review": edits the box around the plate, and handles keyboard shortcuts.
import { svg } from "./svg.js";

const form = document.querySelector("#review");
const board = document.querySelector("#plate-box");
const VERDICTS = { KeyU: "unreadable", KeyN: "notplate", KeyS: "skip", KeyZ: "undo" };

addEventListener("keydown", (event) => {
  const verdict = event.altKey && VERDICTS[event.code];
  if (!verdict) return;
  event.preventDefault();
  document.querySelector(`[name=verdict][value="${verdict}"]`)?.click();
});

if (form) {
  const field = form.elements.box;
  const { width, height } = board.viewBox.baseVal;
  let box = field.value.split(",").map(Number);
  let start = null;

  const draw = () => {
    const [x1, y1, x2, y2] = box;
    board.replaceChildren(svg("polygon", { points: `${x1},${y1} ${x2},${y1} ${x2},${y2} ${x1},${y2}` }));
    field.value = box.map((value) => value.toFixed(1)).join(",");
  };

  const toImage = (event) => {
    const area = board.getBoundingClientRect();
    const normalised = (value, from, size) => Math.min(1, Math.max(0, (value - from) / size));
    return [width * normalised(event.clientX, area.left, area.width), height * normalised(event.clientY, area.top, area.height)];
  };

  board.addEventListener("pointerdown", (event) => {
    start = toImage(event);
    board.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  board.addEventListener("pointermove", (event) => {
    if (!start) return;
    const end = toImage(event);
    if (Math.abs(end[0] - start[0]) < 2 || Math.abs(end[1] - start[1]) < 2) return;
    box = [Math.min(start[0], end[0]), Math.min(start[1], end[1]), Math.max(start[0], end[0]), Math.max(start[1], end[1])];
    draw();
  });
  board.addEventListener("pointerup", () => { start = null; });

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (step && (event.altKey || document.activeElement === board)) {
      const [dx, dy] = step;
      const [x1, y1, x2, y2] = box;
      box = event.shiftKey
        ? [x1, y1, Math.max(x1 + 2, x2 + dx), Math.max(y1 + 2, y2 + dy)]
        : [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
      event.preventDefault();
      draw();
    }
  });
  draw();
  form.elements.text.focus();
  form.elements.text.select();
}
