// A saga's history as a drawing: steps from top to bottom, time from left to right.

import { svg } from "./dom.js";
import { glyph, lasting, legWord } from "./words.js";

const ENDS = {
  done: ["completed", "done"],
  refused: ["refused", "refused"],
  faulted: ["refused", "failed"],
  "timed-out": ["silent", "no answer in time"],
  skipped: ["onward", "taken as done by hand"],
};

const UNMARKED = ["started", "replied", "timed-out", "rested"];

// Spans of each step from the history: attempts, rests and times parked, and marks of the saga.
export function read(saga, now) {
  const rows = new Map(saga.steps.map((step) => [step.name, { step, spans: [], undone: false }]));
  const open = new Map();
  const marks = [];
  const close = (key, at, end) => {
    const span = open.get(key);
    if (!span) return;
    Object.assign(span, { to: at, end });
    open.delete(key);
  };
  const begin = (step, leg, span) => {
    const row = rows.get(step);
    if (!row) return;
    row.undone ||= leg === "compensation";
    row.spans.push({ leg, ...span });
    open.set(`${step}/${leg}`, row.spans.at(-1));
  };
  for (const entry of saga.history) {
    const at = Date.parse(entry.at);
    const key = `${entry.step}/${entry.leg ?? "action"}`;
    if (entry.event === "replied") close(key, at, entry.outcome);
    else if (entry.event === "timed-out") close(key, at, "timed-out");
    else if (entry.event === "rested") close(key, at, null);
    else if (entry.event === "skip-requested") close(key, at, "skipped");
    if (!UNMARKED.includes(entry.event)) marks.push({ at, text: entry.event.replaceAll("-", " ") });
    for (const then of entry.then) {
      const step = then.step ?? then.rests ?? then.parked;
      if (!step) continue;
      // An undo takes the place of the action it undoes, whatever became of that.
      close(`${step}/action`, at, null);
      close(`${step}/compensation`, at, null);
      const kind = then.sent ? "attempt" : then.rests ? "rest" : "parked";
      begin(step, then.leg, { kind, from: at, attempt: then.attempt });
    }
  }
  const ended = saga.ended_at ? Date.parse(saga.ended_at) : null;
  for (const span of open.values()) Object.assign(span, { to: ended ?? now, going: !ended });
  const began = Date.parse(saga.created_at);
  return { rows: [...rows.values()], marks, began, until: Math.max(ended ?? now, began + 1), ended };
}

function edges({ rows, began, until }) {
  const spans = rows.flatMap((row) => row.spans);
  return [...new Set([began, until, ...spans.flatMap(({ from, to }) => [from, to])])].sort((a, b) => a - b);
}

// Whether something would be too short to be seen if time were drawn to scale.
function uneven(told) {
  const lengths = told.rows.flatMap((row) => row.spans).map(({ from, to }) => to - from);
  const short = lengths.filter((length) => length > 0 && length < (told.until - told.began) * 0.01);
  return short.length > 0;
}

// Where a moment stands, 0 to 1: to scale, or with long waits drawn short.
function scale(told, stretched) {
  const points = edges(told);
  if (!stretched) return (at) => (at - told.began) / (told.until - told.began);
  const weights = points.slice(1).map((at, index) => Math.max(1, at - points[index]) ** 0.3);
  const whole = weights.reduce((sum, one) => sum + one, 0);
  const sums = [0];
  for (const weight of weights) sums.push(sums.at(-1) + weight / whole);
  return (at) => {
    const next = points.findIndex((point) => point >= at);
    if (next <= 0) return next === 0 ? 0 : 1;
    const part = (at - points[next - 1]) / (points[next] - points[next - 1]);
    return sums[next - 1] + part * (sums[next] - sums[next - 1]);
  };
}

function ticks(told, stretched, x) {
  const length = told.until - told.began;
  let moments = edges(told);
  if (!stretched) {
    const rough = length / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((one) => power * one >= rough);
    moments = Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => told.began + index * step);
  }
  const kept = [];
  for (const at of moments) {
    if (kept.length === 0 || x(at) - x(kept.at(-1)) >= 64) kept.push(at);
  }
  return kept;
}

function spanShape(span, x, y, height) {
  const left = x(span.from);
  const width = Math.max(3, x(span.to) - left);
  const kind = span.kind === "attempt" ? span.leg : span.kind;
  const [sign, word] = ENDS[span.end] ?? [];
  const said = [
    span.kind === "attempt" ? `${legWord(span.leg)}, attempt ${span.attempt}` : span.kind,
    lasting(span.to - span.from),
    span.going ? "going on" : word,
  ].filter(Boolean).join(", ");
  // The next attempt may begin right after it.
  const inside = width >= 22 && span.kind === "attempt";
  const label = width > 78 ? lasting(span.to - span.from) : "";
  return svg("g", { class: `span ${kind}${span.going ? " going" : ""}` },
    svg("title", null, said),
    svg("rect", { x: left, y, width, height, rx: 2 }),
    label && svg("text", { x: left + 6, y: y + height - 4 }, label),
    sign && svg("g", { class: `end ${sign}${inside ? " inside" : ""}` },
      glyph(sign, { x: inside ? left + width - 16 : left + width + 1, y: y + 1, width: 13, height: 13 })));
}

// The drawing at this width. `stretched` is true, false, or undefined: as the history needs it.
export function timeline(saga, width, now, wish) {
  const told = read(saga, now);
  const stretched = wish ?? uneven(told);
  const narrow = width < 640;
  const gutter = narrow ? 0 : 170;
  const [top, right] = [34, 30];
  const share = scale(told, stretched);
  const x = (at) => gutter + share(at) * (width - gutter - right);
  const parts = [];
  let y = top;
  for (const row of told.rows) {
    const lane = y + (narrow ? 20 : 4);
    const height = (narrow ? 22 : 8) + (row.undone ? 38 : 20);
    const { name, kind, status } = row.step;
    const faint = row.spans.length === 0 ? " faint" : "";
    const mark = kind === "pivot" ? "◆ " : "";
    parts.push(
      svg("path", { class: "rule", d: `M0 ${y + 0.5}H${width}` }),
      svg("text", { class: `name${faint}`, x: 0, y: y + 16 }, `${mark}${name}`),
      row.spans.length === 0 && svg("text", { class: "name faint", x: narrow ? width : gutter + 4, y: y + 16,
        "text-anchor": narrow ? "end" : "start" }, status === "pending" && saga.state === "running" ? "still to come" : "never asked for"),
      row.spans.map((span) => spanShape(span, x, lane + (span.leg === "compensation" ? 18 : 0), 15)),
    );
    y += height;
  }
  const grid = ticks(told, stretched, x).map((at) => svg("g", { class: "tick" },
    svg("path", { d: `M${x(at).toFixed(1)} ${top - 6}V${y}` }),
    svg("text", { x: Math.min(x(at), width - 34), y: top - 12 }, at === told.began ? "0" : lasting(at - told.began))));
  const marks = told.marks.map(({ at, text }) => svg("g", { class: "mark" },
    svg("path", { d: `M${x(at).toFixed(1)} ${top - 8}V${y + 4}` }),
    svg("text", { x: Math.min(Math.max(x(at), gutter + 40), width - 60), y: y + 16 }, text)));
  const label = `Steps of the saga over ${lasting(told.until - told.began)}; the history below says the same in words`;
  const height = y + (told.marks.length ? 22 : 4);
  const drawing = svg("svg", { class: "timeline", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    grid, parts, marks);
  return { drawing, stretched };
}
