// Fills the text of an import with the chosen file.
for (const input of document.querySelectorAll("[data-fills]")) {
  input.addEventListener("change", async () => {
    if (input.files.length) input.form.elements[input.dataset.fills].value = await input.files[0].text();
  });
}
