// Sends the chosen archive with its signature, which starts a rollout.
const form = document.querySelector("#start");
form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { archive, signature, ...rest } = Object.fromEntries(new FormData(form));
  const bytes = new Uint8Array(await signature.slice(0, 1000).arrayBuffer());
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const headers = { "Content-Type": "application/x-tar", "X-Signature": hex };
  const answer = await fetch(`api/v1/rollouts?${new URLSearchParams(rest)}`, { method: "POST", body: archive, headers });
  if (answer.ok) location.reload();
  const problem = form.querySelector("[role=alert]");
  problem.textContent = answer.ok ? "" : (await answer.json()).error;
  problem.hidden = answer.ok;
});
