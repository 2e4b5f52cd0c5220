// Small comforts on top of pages that work without any script.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.submit());
}

for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-no-file")) return;
    form.querySelector(".sending").textContent = form.dataset.sending;
    form.querySelector("button[type=submit]").disabled = true;
  });
}

const told = document.querySelector(".alert-box[data-focus]");
if (told) told.focus();

// Coming back with the browser's own button must not find a dead form.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
