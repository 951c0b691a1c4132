// The page "First steps": loads itself again when a step gets done, unless a form is in use.
import { listen } from "./streams.js";

const names = new Intl.DisplayNames("en", { type: "region" });
for (const element of document.querySelectorAll("[data-region]")) {
  const [country, part = ""] = element.dataset.region.split("-");
  const name = part === "old" ? "former series" : part.length > 3 ? part.replaceAll("_", " ") : part.toUpperCase();
  element.textContent = names.of(country.toUpperCase()) + (part && `: ${name}`);
}
const choices = document.querySelector("#choices"); // missing without the right to change them
choices?.append(...[...choices.children].sort((a, b) => a.textContent.localeCompare(b.textContent)));

const { after, online, broker, plates } = document.querySelector("#steps").dataset;
let inUse = !location.pathname.endsWith("/start"); // shows the result of a form
addEventListener("focusin", () => { inUse = true; });

function reload() {
  if (!inUse) location.replace("start");
}

listen(`stream/events?after=${encodeURIComponent(after)}`, {
  plate: () => plates === "0" && reload(),
  reload,
  state: (state) => {
    const known = online.split(",");
    const comesOnline = Object.entries(state.cameras).some(([name, works]) => works && !known.includes(name));
    if (comesOnline || (state.broker === "ok" && broker !== "ok")) reload();
  },
}, reload);
