// The page "First steps": loads itself again when a step gets done, unless a form is being filled in.
import { listen } from "./streams.js";

const steps = document.querySelector("#steps");
let touched = false;
addEventListener("input", () => { touched = true; });

function reload() {
  if (!touched) location.replace("/start");
}

listen(`/stream/events?after=${encodeURIComponent(steps.dataset.after)}`, {
  plate: reload,
  reload,
  state: (state) => {
    const online = Object.entries(state.cameras).filter(([, works]) => works).map(([name]) => name);
    if (online.sort().join() !== steps.dataset.online || state.broker !== steps.dataset.broker) reload();
  },
}, reload);
