// The page "Live": the latest plates and the state of the device.
import { listen, startImages } from "./streams.js";

const MAX_ROWS = 20;
const latest = document.querySelector("#latest");
const list = latest.querySelector("ul");

function element(tag, className, text) {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
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
    element("span", "confidence", `${Math.round(100 * event.confidence)} %`),
    element("span", "meta", event.camera + way),
    time,
  );
  if (event.list) item.append(element("span", `tag ${event.list.kind}`, `${event.list.kind} · ${event.list.name}`));
  return item;
}

function showPlate(event) {
  const shown = [...list.children].find((item) => item.dataset.pass === event.pass_id);
  if (shown) shown.replaceWith(row(event));
  else list.prepend(row(event));
  document.querySelector("#no-plates")?.remove();
  while (list.children.length > MAX_ROWS) list.lastElementChild.remove();
}

function set(selector, text, className) {
  const found = document.querySelector(selector);
  if (!found) return;
  found.textContent = text;
  if (className) found.className = className;
}

function showState(state) {
  for (const [name, online] of Object.entries(state.cameras)) {
    set(`[data-online="${CSS.escape(name)}"]`, state.camera_texts[name], `state ${online ? "ok" : "bad"}`);
    set(`[data-rate="${CSS.escape(name)}"]`, state.rates[name]);
  }
  set('[data-fact="broker"]', state.broker_text, state.broker);
  set('[data-fact="disk"]', state.disk_text, state.disk);
  set('[data-fact="clock"]', state.clock);
  set('[data-fact="temperature"]', state.temperature_c === null ? "Unknown" : `${Math.round(state.temperature_c)} °C`);
  set('[data-fact="lost"]', state.lost, state.lost ? "bad" : "ok");
}

// Nothing is known of the device without a connection: no camera is shown as online.
function showSilence(since) {
  const alert = document.querySelector("#disconnected");
  alert.hidden = since === null;
  alert.textContent = since && `No connection since ${since.toLocaleTimeString()}. This page shows the last known state.`;
  if (since === null) return;
  for (const shown of document.querySelectorAll("[data-online]")) {
    shown.textContent = "No connection";
    shown.className = "state unknown";
  }
  set('[data-fact="broker"]', "Unknown", "unknown");
}

const url = `/stream/events?after=${encodeURIComponent(latest.dataset.after)}`;
const reload = () => location.reload();
listen(url, { plate: showPlate, state: showState, reload }, reload, showSilence);
startImages();
