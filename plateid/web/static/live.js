// The page "Live": the latest plates and the state of the device.
import { listen, startImages } from "./streams.js";

const MAX_ROWS = 20;
const latest = document.querySelector("#latest");
const list = latest.querySelector("ul");

// The server renders the rows, and escapes their texts.
function showPlate({ pass_id: pass, html }) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const row = template.content.firstElementChild;
  row.classList.add("new");
  const shown = [...list.children].find((item) => item.dataset.pass === pass);
  if (shown) shown.replaceWith(row);
  else list.prepend(row);
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

const site = latest.dataset.site ? `&site=${encodeURIComponent(latest.dataset.site)}` : "";
const url = `stream/events?after=${encodeURIComponent(latest.dataset.after)}${site}`;
const reload = () => location.reload();
listen(url, { plate: showPlate, state: showState, reload }, reload, showSilence);
startImages();
