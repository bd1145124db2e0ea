// Replaying and discarding dead letters, one or a whole group, with the progress of a replay.

import { get, post } from "./api.js";
import { announce, ask } from "./dialogue.js";
import { el } from "./dom.js";
import { count } from "./words.js";

const LABELS = { replay: "Replay", discard: "Discard" };
const LOOK_MS = 700;

export function askLetter(verb, one, done) {
  const path = `dead-letters/${encodeURIComponent(one.dead_letter_id)}/${verb}`;
  ask({
    title: `${LABELS[verb]} ${one.type ?? "this message"}`,
    intro: verb === "replay"
      ? `It goes back to the queue of ${one.participant}. If it dies again, it comes back here.`
      : "It is not sent again. The saga, if it still waits for it, goes on by its own rules.",
    verb: `${LABELS[verb]} it`,
    grave: verb === "discard",
    preview: async (values) => outcome(await post(path, { ...values, dry_run: true }), verb, one),
    act: async (values) => {
      await post(path, values);
      announce(`${LABELS[verb]}: accepted.`);
      done();
    },
  });
}

function outcome(told, verb, one) {
  const text = told.text ?? (verb === "replay"
    ? `${one.type ?? "The message"} would be sent to ${one.participant} once.`
    : "The letter would be kept as discarded.");
  return el("div", null, el("h3", null, "What it would do"), el("p", null, text));
}

export function askLetters(verb, filter, group, done) {
  const path = `dead-letters/bulk/${verb}`;
  const those = `${group.type ?? "letters"} to ${group.participant}`;
  ask({
    title: `${LABELS[verb]} all open: ${those}`,
    intro: verb === "replay"
      ? "A few at first, then more at a time; it stops at the first that dies again. Stale ones are refused."
      : "None of them is sent again.",
    verb: `${LABELS[verb]} all`,
    grave: verb === "discard",
    preview: async (values) => {
      const told = await post(path, { ...values, filter, dry_run: true });
      return el("div", null, el("h3", null, "What it would do"), el("p", null, matched(told, verb)));
    },
    act: async (values, show) => {
      const told = await post(path, { ...values, filter });
      const said = told.replay_id && verb === "replay" ? await progress(told.replay_id, show) : matched(told, verb, true);
      done();
      return el("div", null, el("h3", null, "Done"), el("p", null, said));
    },
  });
}

function matched(told, verb, past = false) {
  const stale = told.stale ?? 0;
  const fresh = told.matched - (verb === "replay" ? stale : 0);
  const would = past ? (fresh === 1 ? "was" : "were") : "would be";
  const words = verb === "replay" ? "sent again" : "discarded";
  const rest = verb === "replay" && stale > 0 ? `; ${stale} refused as stale` : "";
  return `${count(told.matched, "letter")} found: ${fresh} ${would} ${words}${rest}.`;
}

// Looks until the replay has ended; the dialogue may be closed meanwhile, the replay goes on.
async function progress(id, show) {
  for (;;) {
    const told = await get(`dead-letters/replays/${encodeURIComponent(id)}`);
    const over = told.replayed + told.refused + told.failed;
    const figures = `${told.replayed} replayed, ${told.refused} refused, ${told.failed} died again, ${told.waiting} waiting`;
    if (told.state !== "running") return `${told.text ? `${told.text}. ` : ""}${figures}.`;
    const bar = el("progress", { max: Math.max(1, told.matched), value: over, "aria-label": "Progress" });
    const shown = el("div", null, el("p", null, `${over} of ${told.matched} `, bar), el("p", { class: "faint" }, figures));
    show(shown);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (!shown.isConnected) return "";
  }
}
