// The definitions: each plan as a drawing, going down one side and, if need be, up the other.

import { get } from "./api.js";
import { address, el, empty, heading, link, section, svg, table } from "./dom.js";
import { badge, lasting } from "./words.js";

export default function definitions(page) {
  page.title(page.id ?? "Definitions");
  page.keep(async () => {
    const { items } = await get("definitions", null, page.signal);
    const shown = page.id ? items.filter(({ name }) => name === page.id) : items;
    if (page.id && shown.length === 0) {
      return page.draw(heading("Nothing here"), empty(`No definition is called ${page.id}. `, link("/definitions", "Show all")));
    }
    return page.draw(
      heading(page.id ?? "Definitions"),
      page.id && el("p", null, link("/definitions", "All definitions")),
      items.length === 0 && empty("This orchestrator knows no definition."),
      shown.map((one) => section(`${one.name}, version ${one.version}`,
        el("p", { class: "faint" },
          one.deadline_seconds ? `It gives up after ${lasting(one.deadline_seconds * 1_000)}. ` : "It has no deadline. ",
          link(address("/sagas", { definition: one.name }), "Its sagas")),
        graph(one, page.width),
        steps(one))),
    );
  });
}

function steps(one) {
  const columns = ["Step", "Kind", "Command", "Undo", "Waits", "Attempts"];
  return table(`Steps of ${one.name}`, columns, one.steps.map((step) => ({
    key: step.name,
    cells: [
      step.name,
      step.kind === "pivot" ? badge("pivot", "pivot") : step.kind,
      el("code", null, step.command),
      step.compensation ? el("code", null, step.compensation) : "–",
      lasting(step.timeout_seconds * 1_000),
      el("span", { class: "number" }, String(step.attempts)),
    ],
  })));
}

// Steps by stage, in their order.
function stages(steps) {
  const found = new Map();
  for (const step of steps) found.set(step.stage, [...(found.get(step.stage) ?? []), step]);
  return [...found.values()];
}

function arrow(kind, from, to) {
  const d = `M${from.join(" ")}L${to.join(" ")}`;
  const down = to[1] > from[1];
  const tip = down ? -6 : 6;
  const head = `M${to[0] - 4} ${to[1] + tip}L${to[0]} ${to[1]}L${to[0] + 4} ${to[1] + tip}`;
  return svg("path", { class: `arrow ${kind}`, d: d + head });
}

// A long name is drawn narrower rather than over the edge; a letter of this size is 6.7 wide.
function squeezed(text, room) {
  return text.length * 6.7 > room ? { textLength: room, lengthAdjust: "spacingAndGlyphs" } : {};
}

function node(step, x, y, width) {
  const wide = Math.min(width, 250);
  return svg("g", { class: `node ${step.kind}` },
    svg("rect", { x: x - wide / 2, y, width: wide, height: 44, rx: step.kind === "pivot" ? 0 : 4 }),
    svg("text", { x, y: y + 18, class: "name" }, step.kind === "pivot" ? `◆ ${step.name}` : step.name),
    svg("text", { x, y: y + 35, class: "small", ...squeezed(step.command, wide - 10) }, step.command));
}

// The plan: actions downwards, and beside what can be undone its undo, upwards.
export function graph(one, room) {
  const width = Math.min(room, 620);
  const column = width / 2;
  const [high, gap] = [44, 30];
  const parts = [];
  let y = 26;
  let undo = null;
  let before = null;
  let pivot = null;
  for (const stage of stages(one.steps)) {
    const each = column / stage.length;
    if (before !== null) parts.push(arrow("forward", [column / 2, before], [column / 2, y]));
    const undone = stage.filter(({ compensation }) => compensation);
    if (stage[0].kind === "pivot") pivot = y;
    stage.forEach((step, index) => parts.push(node(step, each * (index + 0.5), y, each - 12)));
    if (undone.length > 0) {
      if (undo !== null) parts.push(arrow("undo", [column * 1.5, y], [column * 1.5, undo]));
      const share = column / undone.length;
      undone.forEach((step, index) => {
        const x = column + share * (index + 0.5);
        const shown = { name: "undo", command: step.compensation, kind: "undo" };
        parts.push(node(shown, x, y, share - 12));
      });
      if (stage.length === 1) parts.push(svg("path", { class: "tie", d: `M${column - Math.max(6, (column - 250) / 2)} ${y + high / 2}H${column + Math.max(6, (column - 250) / 2)}` }));
      undo = y + high;
    }
    before = y + high;
    y += high + gap;
  }
  const height = y - gap + 8;
  const line = pivot !== null && svg("g", { class: "threshold" },
    svg("path", { d: `M0 ${pivot - gap / 2}H${width}` }),
    svg("text", { x: width, y: pivot + 8 }, "from here only forward"));
  const label = `${one.name}: ${one.steps.map(({ name, kind }) => `${name} (${kind})`).join(", then ")}`;
  return svg("svg", { class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svg("text", { class: "side", x: column / 2, y: 14 }, "forward ↓"),
    svg("text", { class: "side", x: column * 1.5, y: 14 }, "if it fails ↑"),
    line, parts);
}
