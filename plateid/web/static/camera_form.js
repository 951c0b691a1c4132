// The form of a camera: fills in addresses, and tests the camera.
const form = document.querySelector("#camera-form");
const maker = document.querySelector("#maker");
const test = document.querySelector("#test");
const search = document.querySelector("#search");
const searched = document.querySelector("#searched");
const result = document.querySelector("#result");
const image = document.querySelector("#image");

function show(text, className) {
  result.textContent = text;
  result.className = className;
}

maker.addEventListener("change", () => {
  if (!maker.value) return;
  form.elements.url.value = maker.value;
  form.elements.url.focus();
});

function foundCamera({ name, url }) {
  const item = document.createElement("li");
  const use = Object.assign(document.createElement("button"), { type: "button", className: "secondary", textContent: name || url });
  use.addEventListener("click", () => {
    form.elements.url.value = url;
    form.elements.url.focus();
  });
  item.append(use, url.includes("PASSWORD") ? "Replace USER and PASSWORD in its address." : "");
  return item;
}

search.addEventListener("click", async () => {
  search.disabled = true;
  searched.textContent = "Searching for three seconds…";
  try {
    const response = await fetch("/setup/camera/found", { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const cameras = response.ok ? await response.json() : [];
    document.querySelector("#found").replaceChildren(...cameras.map(foundCamera));
    searched.textContent = response.ok ? `Cameras found: ${cameras.length}` : `The search failed: status ${response.status}`;
  } catch (error) {
    searched.textContent = `plateid does not answer: ${error.message}`;
  }
  search.disabled = false;
});

test.addEventListener("click", async () => {
  test.disabled = true;
  image.hidden = true;
  show("Opening the camera…", "note");
  const name = form.elements.name.value || "camera";
  const body = new URLSearchParams(new FormData(form));
  body.set("name", name);
  try {
    const response = await fetch("/setup/camera/test", { method: "POST", body });
    if (response.ok) {
      URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(await response.blob());
      image.hidden = false;
      show(`The camera works: ${response.headers.get("X-Camera")}.`, "success");
    } else show(await response.text(), "problem");
  } catch (error) {
    show(`plateid does not answer: ${error.message}`, "problem");
  }
  test.disabled = false;
});
