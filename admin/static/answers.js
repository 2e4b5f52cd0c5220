// The town's desk with a script: a row is sent at once, and what is typed is kept in this browser, sealed with a key
// that only this account's pages have, until the hub has said that it has it.

import { differs } from "./panel.js";

const noShelf = { read: async () => ({}), write: async () => {} };
const form = document.querySelector("form[data-lines]");
if (form) begin(form);

// Nobody waits for this script, nor until what was kept before is unsealed: everything is heard from here on, what was
// filled in earlier is taken as it stands, and what was kept comes only into lines that nobody has touched since.
async function begin(form) {
  const kept = {};
  const touched = new Set();
  const opening = openShelf(form).catch(() => noShelf);
  const opened = opening.then((shelf) => shelf.read()).then(take);
  form.addEventListener("input", (event) => keep(event.target.closest("[data-line]")));
  form.addEventListener("change", (event) => keep(event.target.closest("[data-line]")));
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formaction")) return; // a whole village: the answer is a page
    const row = event.submitter?.closest("[data-line]");
    event.preventDefault();
    if (row) send(row, event.submitter.value);
    else sendAll();
  });
  form.addEventListener("keydown", (event) => press(event));
  window.addEventListener("online", sendPending);
  dress(form);
  // A button that has the focus may have been pressed already: its lines are on their way, and not to be offered again.
  if (!document.activeElement?.matches("button")) [...lineRows()].filter((row) => fieldsIn(row).some(differs)).forEach(keep);
  await opened;
  offer();
  form.dataset.begun = "yes";

  function take(before) {
    for (const [line, one] of Object.entries(before)) if (!touched.has(line)) kept[line] = one;
  }

  async function write() {
    await opened;
    const many = Object.keys(kept).length;
    await (await opening).write(kept);
    form.dataset.kept = many;
  }

  function lineRows() {
    return form.querySelectorAll("[data-line]");
  }

  function keep(row) {
    if (!row) return;
    const typed = fieldsOf(row);
    touched.add(row.dataset.line);
    if (isEmpty(row, typed)) delete kept[row.dataset.line];
    else kept[row.dataset.line] = { typed, key: kept[row.dataset.line]?.key || form.elements.key.value, at: Date.now() };
    write();
  }

  async function send(row, save) {
    const line = row.dataset.line;
    const typed = fieldsOf(row);
    keep(row);
    tell(row, form.dataset.sending);
    const body = new URLSearchParams(typed);
    for (const name of ["token", "village", "state", "only", "verifier", "method", "verified_on"]) {
      if (form.elements[name]) body.set(name, form.elements[name].value);
    }
    body.set("key", kept[line]?.key || form.elements.key.value);
    body.set("save", save);
    await post(body, row, { [line]: typed }, () => save);
  }

  // Everything that is filled in on the page, as one submission.
  async function sendAll() {
    const place = form.querySelector(".send-all");
    const sent = {};
    for (const row of lineRows()) {
      sent[row.dataset.line] = fieldsOf(row);
      keep(row);
    }
    tell(place, form.dataset.sending);
    const body = new URLSearchParams(new FormData(form));
    body.set("save", "all");
    if (!(await post(body, place, sent, (line) => `row-${line}`))) return;
    tell(place, "");
    form.querySelector(".line.wrong")?.focus();
  }

  // Whether the hub has said what became of these lines; only then are those it took no longer kept.
  async function post(body, place, sent, again) {
    const lines = Object.keys(sent);
    await opened;
    for (const line of lines) if (kept[line]) kept[line].pending = again(line);
    await write();
    let answer;
    try {
      answer = await fetch(form.action, { method: "POST", body, headers: { "X-Rows": "1" }, redirect: "manual" });
    } catch {
      tell(place, form.dataset.offline);
      return false;
    }
    const said = answer.headers.get("X-Rows");
    if (!said) {
      tell(place, answer.status >= 500 ? form.dataset.offline : form.dataset.signedOut);
      return false;
    }
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    for (const line of lines) {
      const fresh = made.content.querySelector(`[data-line="${line}"]`);
      if (said === "taken" && !fresh?.querySelector("[name$='-contested']")) delete kept[line];
      else if (kept[line]) delete kept[line].pending;
      if (fresh && rowOf(line)) replace(rowOf(line), fresh, sent[line]);
    }
    recount(made.content);
    await write();
    offer();
    return true;
  }

  async function sendPending() {
    for (const [line, one] of Object.entries(kept)) {
      const row = rowOf(line);
      if (row && one.pending) await send(row, one.pending);
    }
  }

  // The line as the hub has it now; what was changed in it while it was being sent is not in that, and is put back.
  function replace(row, fresh, sent) {
    const at = row.contains(document.activeElement) ? document.activeElement : null;
    const typed = fieldsOf(row);
    row.replaceWith(fresh);
    dress(fresh);
    const goneOn = JSON.stringify(typed) !== JSON.stringify(sent) && !fresh.querySelector("[name$='-contested']");
    if (goneOn) {
      restore(fresh, Object.fromEntries(Object.entries(typed).filter(([name]) => !name.endsWith("-line"))));
      keep(fresh);
    }
    if (at) ((goneOn && at.id && document.getElementById(at.id)) || fresh).focus();
  }

  function rowOf(line) {
    return form.querySelector(`[data-line="${line}"]`);
  }

  // What was typed before the connection or the browser went away: back into its rows, to be sent or dropped.
  function offer() {
    const box = document.getElementById("kept");
    const lines = Object.keys(kept);
    const here = lines.filter((line) => rowOf(line));
    for (const line of here) restore(rowOf(line), kept[line].typed);
    const elsewhere = lines.filter((line) => !rowOf(line));
    const words = box.querySelector("[data-kept-here]");
    words.textContent = here.length ? `${here.length} ${words.dataset.keptHere} ` : "";
    if (elsewhere.length) words.append(`${elsewhere.length} ${words.dataset.keptElsewhere}`, linkTo(elsewhere, words.dataset.keptOpen));
    box.querySelector("[data-kept-send]").hidden = !here.length;
    if (!box.dataset.asked && lines.some((line) => !touched.has(line))) box.hidden = false;
    if (!lines.length) box.hidden = true;
    box.dataset.asked = "yes";
    box.querySelector("[data-kept-send]").onclick = async () => {
      for (const line of Object.keys(kept)) if (rowOf(line)) await send(rowOf(line), `row-${line}`);
    };
    box.querySelector("[data-kept-drop]").onclick = async () => {
      for (const line of Object.keys(kept)) delete kept[line];
      await write();
      window.location.reload();
    };
  }

  // 1, 2, 3 ...: what was found; Enter: this line is sent, and the next one has its turn.
  function press(event) {
    if (event.key === "Enter" && event.target === form.elements.count && !event.isComposing) {
      event.preventDefault();
      form.querySelector("[formaction]").click();
    }
    const row = event.target.closest("[data-line]");
    if (!row || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const ticks = [...row.querySelectorAll("input[type=radio]")];
    const typing = event.target.matches("input:not([type=radio]), select, textarea");
    if (event.key === "Enter" && event.target.matches("input, select")) {
      event.preventDefault();
      const next = row.nextElementSibling;
      row.querySelector("[data-row-save]")?.click();
      if (next?.matches("[data-line]")) (next.querySelector("input[type=radio]") || next).focus();
    } else if (!typing && ticks[Number(event.key) - 1]) {
      event.preventDefault();
      const tick = ticks[Number(event.key) - 1];
      row.querySelector("details")?.setAttribute("open", "");
      tick.checked = true;
      tick.focus();
      tick.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }

  function linkTo(lines, words) {
    const link = document.createElement("a");
    link.href = `?only=${lines.join(",")}`;
    link.textContent = words;
    return link;
  }
}

// How much is left, by state and village, as the answer says it. An option keeps its place: it may be the chosen one.
function recount(answer) {
  for (const fresh of answer.querySelectorAll("[data-counts]")) {
    const shown = document.querySelector(`[data-counts="${fresh.dataset.counts}"]`);
    if (shown?.matches("option")) shown.textContent = fresh.textContent;
    else shown?.replaceWith(fresh);
  }
}

function dress(within) {
  for (const button of within.querySelectorAll("[data-row-save]")) button.hidden = false;
}

function tell(row, words) {
  const place = row.querySelector(".row-told");
  if (place) place.textContent = words;
}

function fieldsIn(row) {
  return [...row.querySelectorAll("input[name], select[name]")];
}

function fieldsOf(row) {
  const typed = {};
  for (const field of fieldsIn(row)) {
    if (field.type !== "radio" || field.checked) typed[field.name] = field.value;
  }
  return typed;
}

function isEmpty(row, typed) {
  return Object.entries(typed).every(([name, value]) => !value || name.endsWith("-line") || name.endsWith("-contested"));
}

function restore(row, typed) {
  const contested = row.querySelector("[name$='-contested']");
  for (const field of fieldsIn(row)) {
    if (!(field.name in typed) || (contested && field.name.endsWith("-line"))) continue;
    if (field.type === "radio") field.checked = field.value === typed[field.name];
    else if (field.value !== typed[field.name]) field.value = typed[field.name]; // the same again would move the caret
  }
  row.querySelector("details")?.setAttribute("open", "");
}

// Answers under this account's name and month; without cryptography in the browser nothing is kept.
async function openShelf(form) {
  const name = `hub-answers ${form.dataset.account} ${form.dataset.lines}`;
  const longest = 45 * 24 * 3600 * 1000;
  if (!window.crypto?.subtle) return noShelf;
  const secret = Uint8Array.from(atob(form.dataset.seal), (letter) => letter.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt", "decrypt"]);
  let turn = Promise.resolve();
  return { read, write };

  async function read() {
    try {
      const stored = Uint8Array.from(atob(localStorage.getItem(name) || ""), (letter) => letter.charCodeAt(0));
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: stored.slice(0, 12) }, key, stored.slice(12));
      const kept = JSON.parse(new TextDecoder().decode(plain));
      return Object.fromEntries(Object.entries(kept).filter(([, one]) => Date.now() - one.at < longest));
    } catch {
      return {};
    }
  }

  function write(kept) {
    const said = JSON.stringify(kept);
    turn = turn.then(() => store(said), () => store(said));
    return turn;
  }

  async function store(said) {
    if (said === "{}") return localStorage.removeItem(name);
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, new TextEncoder().encode(said)));
    const whole = new Uint8Array([...iv, ...sealed]);
    return localStorage.setItem(name, btoa(String.fromCharCode(...whole)));
  }
}
