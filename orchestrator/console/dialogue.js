// The dialogue before every act: who and why, what it would do, and only then the act itself.

import { Away } from "./api.js";
import { el } from "./dom.js";

function remembered() {
  try {
    return localStorage.getItem("console.who") ?? "";
  } catch {
    return "";
  }
}

function remember(who) {
  try {
    localStorage.setItem("console.who", who);
  } catch {
    // Asked again next time.
  }
}

function field(name, label, input, hint) {
  const id = `field-${name}`;
  input.id = id;
  input.name = name;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", { class: "field" }, el("label", { for: id }, label), input,
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint));
}

export function choice(name, label, options, hint) {
  const input = el("select", null, options.map((one) => el("option", { value: one }, one)));
  return { name, label, input, hint };
}

export function text(name, label, hint, attributes) {
  return { name, label, hint, input: el("textarea", { rows: 3, spellcheck: "false", ...attributes }) };
}

function problem(error) {
  const lines = error.fields?.map(({ field: name, message }) => `${name} ${message}`) ?? [];
  const said = error instanceof Away ? `${error.message} Nothing was done.` : error.message;
  return el("div", { class: "refusal", role: "alert" }, el("p", null, said),
    lines.length > 1 && el("ul", null, lines.map((line) => el("li", null, line))));
}

// Opens the dialogue. `preview(values)` (with `data-idle` where nothing would be done) and `act(values, show)` get the fields with `reason` and
// `by`, and answer nodes to show; `act` answers nothing when all is said and the dialogue closes.
export function ask({ title, intro, fields = [], verb, grave = false, preview, act }) {
  const opener = document.activeElement;
  const reason = el("textarea", { rows: 2, required: true, maxlength: 500 });
  const who = el("input", { type: "text", maxlength: 100, autocomplete: "name", value: remembered() });
  const shown = el("div", { class: "preview", "aria-live": "polite" });
  const main = el("button", { type: "submit", class: "primary" });
  const leave = el("button", { type: "button", onclick: () => dialogue.close() }, "Leave it");
  let seen = false;

  const arm = (ready) => {
    seen = ready;
    main.textContent = ready ? verb : "Show what it would do";
    main.classList.toggle("grave", ready && grave);
  };
  const values = () => {
    const all = { reason: reason.value.trim() };
    if (who.value.trim()) all.by = who.value.trim();
    for (const { name, input, read } of fields) {
      const value = read ? read(input.value) : input.value;
      if (value !== undefined && value !== "") all[name] = value;
    }
    return all;
  };
  const submit = async () => {
    main.disabled = true;
    try {
      if (!seen) {
        const would = await preview(values());
        shown.replaceChildren(would);
        // Where nothing would come of it, there is nothing to press.
        arm(would.dataset.idle === undefined);
      } else {
        remember(who.value.trim());
        const said = await act(values(), (node) => shown.replaceChildren(node));
        if (!said) return dialogue.close();
        shown.replaceChildren(said);
        main.remove();
        leave.textContent = "Close";
        leave.focus();
      }
    } catch (error) {
      shown.replaceChildren(problem(error));
      arm(false);
    } finally {
      main.disabled = false;
    }
    if (main.isConnected) main.focus();
    return undefined;
  };
  const form = el(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        submit();
      },
      // A preview speaks of the fields as they were.
      oninput: (event) => {
        const decides = event.target !== reason && event.target !== who;
        if (decides && seen) {
          shown.replaceChildren();
          arm(false);
        }
      },
    },
    el("h2", { id: "dialogue-title" }, title),
    el("p", null, intro),
    fields.map(({ name, label, input, hint }) => field(name, label, input, hint)),
    field("reason", "Why", reason, "Kept in the audit trail, for whoever asks later."),
    field("by", "Who you are", who, "Remembered in this browser."),
    shown,
    el("div", { class: "buttons" }, leave, main),
  );
  const dialogue = el("dialog", { "aria-labelledby": "dialogue-title" }, form);
  dialogue.addEventListener("close", () => {
    dialogue.remove();
    if (opener?.isConnected) opener.focus();
  });
  addEventListener("hashchange", () => dialogue.close(), { once: true });
  arm(false);
  document.body.append(dialogue);
  dialogue.showModal();
  (fields[0]?.input ?? reason).focus();
}

// Something was done; said once, at the edge of the page.
export function announce(said) {
  document.querySelector(".notice")?.remove();
  const notice = el("p", { class: "notice", role: "status" }, said);
  document.body.append(notice);
  setTimeout(() => notice.remove(), 8_000);
}
