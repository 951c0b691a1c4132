// The last plates as they happen, and the state of the box.
import { listen, watch } from "./streams.js";

const KEPT = 20;
const latest = document.querySelector("#latest");
const list = latest.querySelector("ul");

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function row(event) {
  const item = element("li", "new", "");
  item.dataset.pass = event.pass_id;
  const link = document.createElement("a");
  link.href = `/events/${encodeURIComponent(event.id)}`;
  link.append(element("span", "plate", event.plate_display || event.plate));
  const way = event.direction?.way ? ` · ${event.direction.way}` : "";
  const time = element("time", "", event.local);
  time.dateTime = event.first_seen;
  item.append(
    link,
    element("span", "sure", `${Math.round(100 * event.confidence)} %`),
    element("span", "where", event.camera + way),
    time,
  );
  if (event.list) item.append(element("span", `tag ${event.list.kind}`, `${event.list.kind} · ${event.list.name}`));
  return item;
}

function showPlate(event) {
  const before = [...list.children].find((item) => item.dataset.pass === event.pass_id);
  if (before) before.replaceWith(row(event));
  else list.prepend(row(event));
  document.querySelector("#none")?.remove();
  while (list.children.length > KEPT) list.lastElementChild.remove();
}

function set(selector, text, className) {
  const found = document.querySelector(selector);
  if (!found) return;
  found.textContent = text;
  if (className) found.className = className;
}

function showState(state) {
  for (const [name, online] of Object.entries(state.cameras)) {
    set(`[data-online="${CSS.escape(name)}"]`, online ? "online" : "offline", `state ${online ? "ok" : "away"}`);
    set(`[data-rate="${CSS.escape(name)}"]`, state.rates[name]);
  }
  const broker = { ok: "nothing waits", away: `${state.waiting} events wait`, unknown: "unknown" };
  set('[data-fact="broker"]', broker[state.broker], state.broker);
  set('[data-fact="disk"]', state.disk_free_mb === null ? "unknown" : `${(state.disk_free_mb / 1000).toFixed(1)} GB free`);
  set('[data-fact="clock"]', state.clock);
  set('[data-fact="temperature"]', state.temperature_c === null ? "unknown" : `${Math.round(state.temperature_c)} °C`);
  set('[data-fact="lost"]', state.lost, state.lost ? "away" : "ok");
}

function showSilence(since) {
  const told = document.querySelector("#silent");
  told.hidden = since === null;
  told.textContent = since && `Nothing heard from the box since ${since.toLocaleTimeString()}: this is how it was then.`;
}

const stream = `/stream/events?after=${encodeURIComponent(latest.dataset.after)}`;
const reload = () => location.reload();
listen(stream, { plate: showPlate, state: showState, reload }, reload, showSilence);
watch();
