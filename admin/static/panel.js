// Small comforts on top of pages that work without any script. They may come late: what a person did before stays done.

// Whether a field holds something else than the hub sent.
export function differs(field) {
  if (field.matches("[type=radio], [type=checkbox]")) return field.checked !== field.defaultChecked;
  if (!field.matches("select")) return field.value !== field.defaultValue;
  const sent = [...field.options].filter((one) => one.defaultSelected).pop() || field.options[0];
  return field.selectedOptions[0] !== sent;
}

const FIELDS = "input, select, textarea";

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// By mouse at once; whoever goes through the choices with the arrows sends them with Enter or with the button beside it.
for (const select of document.querySelectorAll("select[data-submit]")) {
  let byKey = select.matches(":focus-visible");
  select.addEventListener("pointerdown", () => { byKey = false; });
  select.addEventListener("keydown", (event) => {
    byKey = true;
    if (event.key !== "Enter") return;
    event.preventDefault();
    select.form.submit();
  });
  select.addEventListener("change", () => { if (!byKey) select.form.submit(); });
}

// Chosen before this script came: sent now. Not while the keyboard is on it (the arrows may still be under way), and not
// when the person has gone on, to other fields or by a link: the page would go away from under his hands. For both there
// is the button.
const early = [...document.querySelectorAll("select[data-submit]")].find(differs);
if (early && !document.querySelector("select[data-submit]:focus-visible") && !isBusyOutside(early.form)) early.form.submit();

function isBusyOutside(form) {
  if (document.activeElement?.matches("a, button, summary")) return true;
  const others = [...document.querySelectorAll(FIELDS)].filter((field) => field.form !== form);
  return others.some((field) => field === document.activeElement || differs(field));
}

// The same for the parts of a page that follow a choice, once htmx listens.
document.addEventListener("DOMContentLoaded", () => {
  const late = [...document.querySelectorAll("select[hx-get]")].find(differs);
  if (late) late.dispatchEvent(new Event("change", { bubbles: true }));
});

// A page that is done loads itself again, but not while somebody is typing: the next look, in a second, finds the same.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const field = document.activeElement;
  const typing = field && field.matches(FIELDS) && differs(field);
  if (typing && event.detail.xhr.getResponseHeader("HX-Refresh")) event.preventDefault();
});

for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-no-file")) return;
    form.querySelector(".sending").textContent = form.dataset.sending;
    form.querySelector("button[type=submit]").disabled = true;
  });
}

// Whoever is already at a field or a button keeps it: what he types would go nowhere.
const told = document.querySelector(".alert-box[data-focus]");
if (told && !document.activeElement?.matches(`${FIELDS}, button, a, summary`)) told.focus();

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

// From here on keys and choices are heard.
document.documentElement.dataset.begun = "yes";
