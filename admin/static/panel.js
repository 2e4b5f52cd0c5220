// Small comforts on top of pages that work without any script.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// By mouse at once; whoever goes through the choices with the arrows sends them with Enter or with the button beside it.
for (const select of document.querySelectorAll("select[data-submit]")) {
  let byKey = false;
  select.addEventListener("pointerdown", () => { byKey = false; });
  select.addEventListener("keydown", (event) => {
    byKey = true;
    if (event.key !== "Enter") return;
    event.preventDefault();
    select.form.submit();
  });
  select.addEventListener("change", () => { if (!byKey) select.form.submit(); });
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

// Keys: only outside of fields, and never together with Ctrl, Alt or the like.
const rows = () => [...document.querySelectorAll("main tbody tr, main [data-line]")].filter((row) => row.querySelector("a[href], button, input"));
let place = -1;

function go(step) {
  const known = rows();
  if (!known.length) return;
  const here = known.findIndex((row) => row.contains(document.activeElement));
  place = Math.min(Math.max((here < 0 ? place : here) + step, 0), known.length - 1);
  known[place].querySelector("input:checked, input:not([type=hidden]), a[href], button").focus();
  known[place].scrollIntoView({ block: "nearest" });
}

const keys = {
  "/": () => document.querySelector("[data-search]")?.focus(),
  "j": () => go(1),
  "k": () => go(-1),
  "h": () => window.location.assign("/"),
  "?": () => document.getElementById("keyboard")?.showModal?.(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("textarea, select, input:not([type=radio]):not([type=checkbox]), dialog");
  if (typing || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
