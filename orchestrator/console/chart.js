// Small drawings of numbers: a line over the last minutes, and a bar of shares.

import { svg } from "./dom.js";

const KEPT = 180;
const GAP_MS = 4_000;
const NAME = "console.series";
const series = kept();

// What this window noted before it was loaded again, as far as it is not too old.
function kept() {
  try {
    const all = JSON.parse(sessionStorage.getItem(NAME) ?? "[]");
    const since = Date.now() - KEPT * GAP_MS;
    return new Map(all.map(([name, points]) => [name, points.filter(({ at }) => at > since)]));
  } catch {
    return new Map();
  }
}

addEventListener("pagehide", () => {
  try {
    sessionStorage.setItem(NAME, JSON.stringify([...series]));
  } catch {
    // Begun anew, then.
  }
});

// Remembers a number as of now; the drawing reaches back to the opening of the page.
export function note(name, value) {
  const points = series.get(name) ?? [];
  const now = Date.now();
  const last = points.at(-1);
  if (last && now - last.at < GAP_MS) last.value = value;
  else points.push({ at: now, value });
  series.set(name, points.slice(-KEPT));
}

export function since(name) {
  return series.get(name)?.[0]?.at;
}

// The noted numbers as a line; nothing to see before the second one.
export function line(name, label) {
  const points = series.get(name) ?? [];
  const [width, height] = [160, 36];
  const top = Math.max(1, ...points.map(({ value }) => value));
  const from = points[0]?.at ?? 0;
  const span = Math.max(60_000, (points.at(-1)?.at ?? 0) - from);
  const x = (at) => ((at - from) / span) * (width - 4) + 2;
  const y = (value) => height - 3 - (value / top) * (height - 8);
  const path = points.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
  const drawn = path.length < 2 ? "" : `M${path.join("L")}`;
  const last = points.at(-1);
  // Without words of its own where the number stands beside it.
  const said = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return svg(
    "svg",
    { class: "line", preserveAspectRatio: "xMinYMid", viewBox: `0 0 ${width} ${height}`, ...said },
    svg("path", { class: "ground", d: `M2 ${height - 3}H${width - 2}` }),
    drawn && svg("path", { class: "area", d: `${drawn}V${height - 3}H${x(from)}Z` }),
    drawn && svg("path", { class: "course", d: drawn }),
    drawn && svg("circle", { class: "now", cx: x(last.at), cy: y(last.value), r: 2.500 }),
  );
}

// Shares of a whole, as `[kind, number]`; the numbers stand beside it in words.
export function shares(parts, whole, label) {
  const [width, height] = [240, 10];
  let x = 0;
  const bars = parts.filter(([, number]) => number > 0).map(([kind, number]) => {
    const wide = Math.max(3, (number / Math.max(1, whole)) * width);
    const bar = svg("rect", { class: `share ${kind}`, x, y: 0, width: Math.max(2, wide - 1), height });
    x += wide;
    return bar;
  });
  const attributes = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" };
  return svg("svg", { class: "shares", role: "img", "aria-label": label, ...attributes }, bars);
}
