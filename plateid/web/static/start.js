// The page "First steps": loads itself again when a step gets done, unless a form is in use.
import { listen } from "./streams.js";

const { after, online, broker, plates } = document.querySelector("#steps").dataset;
let inUse = location.pathname !== "/start"; // shows the result of a form
addEventListener("focusin", () => { inUse = true; });

function reload() {
  if (!inUse) location.replace("/start");
}

listen(`/stream/events?after=${encodeURIComponent(after)}`, {
  plate: () => plates === "0" && reload(),
  reload,
  state: (state) => {
    const known = online.split(",");
    const comesOnline = Object.entries(state.cameras).some(([name, works]) => works && !known.includes(name));
    if (comesOnline || (state.broker === "ok" && broker !== "ok")) reload();
  },
}, reload);
