// What an operator can do to a saga: the words for it, and the dialogue that does it.

import { post } from "./api.js";
import { announce, ask, choice, text } from "./dialogue.js";
import { el } from "./dom.js";
import { count, glyph, legWord, sagaLink } from "./words.js";

export const VERBS = {
  cancel: {
    label: "Cancel",
    confirm: "Cancel the saga",
    grave: true,
    does: "Undoes everything that was done so far, last step first. Only before the pivot.",
  },
  resume: {
    label: "Resume",
    confirm: "Resume the saga",
    grave: false,
    does: "Asks again for what is parked, with a fresh number of attempts.",
  },
  retry: {
    label: "Retry a step",
    confirm: "Retry the step",
    grave: false,
    does: "Asks again now, with a fresh number of attempts, instead of when the wait is over.",
  },
  skip: {
    label: "Skip a step",
    confirm: "Skip the step",
    grave: true,
    does: "Takes a parked step as done, or as undone, on your word. Nothing checks that it was.",
  },
  "force-compensate": {
    label: "Force back",
    confirm: "Force it back",
    grave: true,
    does: "Undoes a saga whose pivot is parked, on your word that the pivot has not happened.",
  },
};

function label(verb) {
  return VERBS[verb]?.label ?? verb;
}

// The commands that would go out, as a list, and where the saga would stand.
function preview(would) {
  const sent = would.would ?? [];
  const after = would.parked_after
    ? `The saga would be ${would.state_after}, parked at ${would.parked_after}.`
    : `The saga would be ${would.state_after}.`;
  return el("div", null,
    el("h3", null, "What it would do"),
    sent.length === 0
      ? el("p", null, "No command would be sent at once.")
      : el("ul", { class: "plain" }, sent.map(({ send, step, leg, attempt }) => el("li", null,
        glyph(leg === "compensation" ? "compensated" : "onward"), " ", el("code", null, send),
        ` – ${legWord(leg)} of ${step}${attempt > 1 ? `, attempt ${attempt}` : ""}`))),
    el("p", null, after));
}

// The value of a skipped step's reply: JSON, or nothing.
function readValue(written) {
  if (written.trim() === "") return undefined;
  try {
    return JSON.parse(written);
  } catch {
    throw new Error("The reply to assume is not JSON.");
  }
}

// Retry is of any leg that is waited for, skip of one that is parked.
function fieldsOf(verb, waits) {
  if (verb !== "retry" && verb !== "skip") return [];
  const fitting = verb === "skip" ? waits.filter((wait) => wait.for === "operator") : waits;
  const fields = [choice("step", "Step", [...new Set(fitting.map(({ step }) => step))])];
  if (verb === "skip") {
    const value = text("value", "Reply to assume (JSON)", "Empty: a reply that says nothing more.");
    fields.push({ ...value, read: readValue });
  }
  return fields;
}

// `waits`: what the saga waits for now.
export function askVerb(saga, verb, waits, done) {
  const path = `sagas/${encodeURIComponent(saga.saga_id)}/${verb}`;
  ask({
    title: `${label(verb)}: ${saga.definition} ${saga.saga_id.slice(-6)}`,
    intro: VERBS[verb]?.does ?? "",
    fields: fieldsOf(verb, waits),
    verb: VERBS[verb]?.confirm ?? verb,
    grave: VERBS[verb]?.grave,
    preview: async (values) => preview(await post(path, { ...values, dry_run: true })),
    act: async (values) => {
      await post(path, values);
      announce(`${label(verb)}: accepted. The page shows what follows.`);
      done();
    },
  });
}

function refusals(refused) {
  if (refused.length === 0) return null;
  return el("details", null, el("summary", null, `${count(refused.length, "refusal")}`),
    el("ul", { class: "plain" }, refused.map((one) => el("li", null, sagaLink(one.saga_id), " – ", one.text))));
}

// The verb on each of these sagas, one after the other; a refusal stops nobody else.
async function each(ids, verb, values, show) {
  const refused = [];
  for (const [index, id] of ids.entries()) {
    show(el("p", null, `${index} of ${ids.length} `, el("progress", { max: ids.length, value: index })));
    try {
      await post(`sagas/${encodeURIComponent(id)}/${verb}`, values);
    } catch (error) {
      if (error.status !== 409 && error.status !== 404) throw error;
      refused.push({ saga_id: id, text: error.message });
    }
  }
  return { matched: ids.length, accepted: ids.length - refused.length, refused };
}

// A verb on many: those ticked (`ids`), or all that a filter of the list finds.
export function askBulk(verb, { ids, filter }, done) {
  const many = ids ? count(ids.length, "ticked saga") : "all sagas that the filter finds";
  const run = (values, show) => (ids
    ? each(ids, verb, values, show)
    : post(`sagas/bulk/${verb}`, { ...values, filter }));
  ask({
    title: `${label(verb)}: ${many}`,
    intro: VERBS[verb]?.does ?? "",
    verb: `${label(verb)} ${ids ? count(ids.length, "saga") : "them"}`,
    grave: VERBS[verb]?.grave,
    preview: async (values) => {
      const told = await run({ ...values, dry_run: true }, () => {});
      return el("div", { "data-idle": told.accepted === 0 }, el("h3", null, "What it would do"),
        el("p", null, `${count(told.matched, "saga")} found: it would be accepted for ${told.accepted}, `,
          `and refused for ${told.refused.length}.`),
        refusals(told.refused));
    },
    act: async (values, show) => {
      const told = await run(values, show);
      done();
      return el("div", null, el("h3", null, "Done"),
        el("p", null, `Accepted for ${told.accepted} of ${count(told.matched, "saga")}.`),
        refusals(told.refused));
    },
  });
}
