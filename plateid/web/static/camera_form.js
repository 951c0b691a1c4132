// The form of a camera: finds cameras, fills in addresses, and tests the camera.
const [form, maker, test, search, searched, found, login, ask, asked, result, image] =
  ["camera-form", "maker", "test", "search", "searched", "found", "login", "ask", "asked", "result", "image"].map((id) => document.getElementById(id));
let service = ""; // the ONVIF service of the camera that was chosen

function fillIn(address, next = form.elements.url) {
  form.elements.url.value = address;
  next.focus();
}

function show(output, text, className) {
  output.textContent = text;
  output.className = className;
}

// Posts the form; returns the answer. Shows why there is none, and returns null.
async function post(button, path, output, values = {}) {
  button.disabled = true;
  try {
    const response = await fetch(path, { method: "POST", body: new URLSearchParams([...new FormData(form), ...Object.entries(values)]) });
    if (response.ok) return response;
    const isReason = response.headers.get("Content-Type")?.startsWith("text/plain");
    show(output, isReason ? await response.text() : `plateid refuses this: status ${response.status}`, "problem");
  } catch (error) {
    show(output, `plateid does not answer: ${error.message}`, "problem");
  } finally {
    button.disabled = false;
  }
  return null;
}

function foundCamera(camera) {
  const item = document.createElement("li");
  const use = Object.assign(document.createElement("button"), { type: "button", className: "secondary", textContent: camera.name || camera.url });
  use.addEventListener("click", () => {
    ({ service } = camera);
    login.hidden = !service;
    fillIn(camera.url, service ? form.elements.user : form.elements.url);
  });
  item.append(use, camera.url.includes("PASSWORD") ? "Ask it for its address, or replace USER and PASSWORD below." : "");
  return item;
}

maker.addEventListener("change", () => maker.value && fillIn(maker.value));

search.addEventListener("click", async () => {
  show(searched, "Searching for three seconds…", "note");
  const cameras = await (await post(search, "setup/camera/found", searched))?.json();
  if (!cameras) return;
  found.replaceChildren(...cameras.map(foundCamera));
  show(searched, `Cameras found: ${cameras.length}`, "note");
});

ask.addEventListener("click", async () => {
  show(asked, "Asking…", "note");
  const given = await (await post(ask, "setup/camera/asked", asked, { service }))?.json();
  if (!given) return;
  form.elements.main_url.value = given.main_url ?? "";
  fillIn(given.url);
  show(asked, "The camera gave the address below.", "note");
});

test.addEventListener("click", async () => {
  image.hidden = true;
  show(result, "Opening the camera…", "note");
  const response = await post(test, "setup/camera/test", result, { name: form.elements.name.value || "camera" });
  if (!response) return;
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(await response.blob());
  image.hidden = false;
  show(result, `The camera works: ${response.headers.get("X-Camera")}.`, "success");
});
