// Every page: keeps relative times right, and handles keyboard shortcuts.
const SHORTCUTS = { ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]", "/": "input[type=search]" };
const REFRESH_MS = 10000;
const seenAt = new WeakMap();

// The age comes from the device: the clock of the browser may differ. See ago() in pass_rows.py.
function showAges() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    if (!seenAt.has(time)) seenAt.set(time, Date.now());
    const age = Number(time.dataset.age) + (Date.now() - seenAt.get(time)) / 1000;
    if (age < 0 || age >= 86400) time.textContent = time.title;
    else if (age < 60) time.textContent = "just now";
    else time.textContent = age < 3600 ? `${Math.floor(age / 60)} min ago` : `${Math.floor(age / 3600)} h ago`;
  }
}

// A phone shows the rows of a wide table as cards, and the heads of the columns in the cells.
for (const table of document.querySelectorAll(".scroll table")) {
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  for (const row of table.tBodies[0].rows) {
    [...row.cells].forEach((cell, column) => { cell.dataset.label = heads[column] ?? ""; });
  }
}

addEventListener("keydown", (event) => {
  const isTyped = event.target.closest("input:not([type=checkbox]), select, textarea, [tabindex='0']");
  if (isTyped || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const target = SHORTCUTS[event.key] && document.querySelector(SHORTCUTS[event.key]);
  if (!target) return;
  event.preventDefault();
  if (target.href) target.click();
  else target.focus();
});
setInterval(showAges, REFRESH_MS);
showAges();
