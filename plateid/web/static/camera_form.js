// The form of a camera: fills in addresses, and tests the camera.
const form = document.querySelector("#camera-form");
const maker = document.querySelector("#maker");
const test = document.querySelector("#test");
const result = document.querySelector("#result");
const image = document.querySelector("#image");

function show(text, className) {
  result.textContent = text;
  result.className = className;
}

maker.hidden = false;
maker.addEventListener("change", () => {
  if (!maker.value) return;
  form.elements.url.value = maker.value;
  form.elements.url.focus();
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
