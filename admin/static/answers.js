// The town's desk with a script: a row is sent at once, and what is typed is kept in this browser, sealed with a key
// that only this account's pages have, until the hub has said that it has it.

const form = document.querySelector("form[data-lines]");
if (form) begin(form);

async function begin(form) {
  const shelf = await openShelf(form);
  const kept = await shelf.read();
  form.addEventListener("input", (event) => keep(event.target.closest("[data-line]")));
  form.addEventListener("change", (event) => keep(event.target.closest("[data-line]")));
  form.addEventListener("submit", (event) => {
    const row = event.submitter?.closest("[data-line]");
    event.preventDefault();
    if (row) send(row, event.submitter.value);
    else sendAll();
  });
  for (const shared of document.querySelectorAll("[data-as]")) {
    const source = form.elements[shared.dataset.as];
    source.addEventListener("change", () => { shared.value = source.value; });
  }
  form.addEventListener("keydown", (event) => press(event));
  window.addEventListener("online", sendPending);
  dress(form);
  offer();

  function keep(row) {
    if (!row) return;
    const typed = fieldsOf(row);
    if (isEmpty(row, typed)) delete kept[row.dataset.line];
    else kept[row.dataset.line] = { typed, key: kept[row.dataset.line]?.key || form.elements.key.value, at: Date.now() };
    shelf.write(kept);
  }

  async function send(row, save) {
    const line = row.dataset.line;
    keep(row);
    if (kept[line]) kept[line].pending = save;
    await shelf.write(kept);
    tell(row, form.dataset.sending);
    const body = new URLSearchParams(fieldsOf(row));
    for (const name of ["token", "village", "state", "only", "verifier", "method", "verified_on"]) {
      if (form.elements[name]) body.set(name, form.elements[name].value);
    }
    body.set("key", kept[line]?.key || form.elements.key.value);
    body.set("save", save);
    await post(body, row, [line]);
  }

  // Everything that is filled in on the page, as one submission.
  async function sendAll() {
    const place = form.querySelector(".send-all");
    const lines = [...form.querySelectorAll("[data-line]")].map((row) => row.dataset.line);
    tell(place, form.dataset.sending);
    const body = new URLSearchParams(new FormData(form));
    body.set("save", "all");
    if (!(await post(body, place, lines))) return;
    tell(place, "");
    form.querySelector(".line.wrong")?.focus();
  }

  // Whether the hub has said what became of these lines; only then are those it took no longer kept.
  async function post(body, place, lines) {
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
      if (fresh && rowOf(line)) replace(rowOf(line), fresh);
    }
    await shelf.write(kept);
    offer();
    return true;
  }

  async function sendPending() {
    for (const [line, one] of Object.entries(kept)) {
      const row = rowOf(line);
      if (row && one.pending) await send(row, one.pending);
    }
  }

  function replace(row, fresh) {
    const had = row.contains(document.activeElement);
    row.replaceWith(fresh);
    dress(fresh);
    if (had) fresh.focus();
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
    if (box.hidden && lines.length && !box.dataset.asked) box.hidden = false;
    if (!lines.length) box.hidden = true;
    box.dataset.asked = "yes";
    box.querySelector("[data-kept-send]").onclick = async () => {
      for (const line of Object.keys(kept)) if (rowOf(line)) await send(rowOf(line), `row-${line}`);
    };
    box.querySelector("[data-kept-drop]").onclick = async () => {
      for (const line of Object.keys(kept)) delete kept[line];
      await shelf.write(kept);
      window.location.reload();
    };
  }

  // 1, 2, 3 ...: what was found; Enter: this line is sent, and the next one has its turn.
  function press(event) {
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

function dress(within) {
  for (const button of within.querySelectorAll("[data-row-save]")) button.hidden = false;
}

function tell(row, words) {
  const place = row.querySelector(".row-told");
  if (place) place.textContent = words;
}

function fieldsOf(row) {
  const typed = {};
  for (const field of row.querySelectorAll("input[name], select[name]")) {
    if (field.type !== "radio" || field.checked) typed[field.name] = field.value;
  }
  return typed;
}

function isEmpty(row, typed) {
  return Object.entries(typed).every(([name, value]) => !value || name.endsWith("-line") || name.endsWith("-contested"));
}

function restore(row, typed) {
  const contested = row.querySelector("[name$='-contested']");
  for (const field of row.querySelectorAll("input[name], select[name]")) {
    if (!(field.name in typed) || (contested && field.name.endsWith("-line"))) continue;
    if (field.type === "radio") field.checked = field.value === typed[field.name];
    else field.value = typed[field.name];
  }
  row.querySelector("details")?.setAttribute("open", "");
}

// Answers under this account's name and month; without cryptography in the browser nothing is kept.
async function openShelf(form) {
  const name = `hub-answers ${form.dataset.account} ${form.dataset.lines}`;
  const longest = 45 * 24 * 3600 * 1000;
  if (!window.crypto?.subtle) return { read: async () => ({}), write: async () => {} };
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
