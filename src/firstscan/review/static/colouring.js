// What the points of the map are coloured by: strata, or any signal or column, with a legend.

import { byId, element, toast } from "./dom.js";
import { styleOf } from "./marks.js";
import { DISTANCE, coverage, measure, measures, range, told } from "./measures.js";
import { change, listen, store } from "./store.js";

// viridis, of which paper takes the darker and a dark screen the lighter part.
const RAMP = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const LEVELS = 24;
const choice = byId("colouring");
const legend = byId("legend");

const ramp = (share) => {
  const [from, to] = DARK.matches ? [0.22, 1] : [0, 0.86];
  const at = (from + share * (to - from)) * (RAMP.length - 1);
  const i = Math.min(RAMP.length - 2, Math.floor(at));
  return `rgb(${RAMP[i].map((v, k) => Math.round(v + (at - i) * (RAMP[i + 1][k] - v))).join(" ")})`;
};

const shownBy = () => measure(store.colouring) ?? measure("stratum");

// How to draw a scan; ``strata`` are those of the batch on show, null where they are too many to be told apart.
export const painting = (strata) => {
  const by = shownBy();
  if (by.kind === "stratum") return (row) => styleOf(strata?.[row] ?? null);
  const values = by.values();
  const none = styleOf(null);
  if (by.kind === "category") return (row) => (by.names[values[row]] ? styleOf(values[row]) : none);
  const ends = range(values);
  if (!ends) return () => none;
  const [low, high] = ends;
  const levels = [...Array(LEVELS).keys()].map((i) => ({ colour: ramp(i / (LEVELS - 1)), symbol: "circle" }));
  return (row) => {
    const value = values[row];
    return value === null || value === undefined ? none : levels[high > low ? Math.round(((value - low) / (high - low)) * (LEVELS - 1)) : 0];
  };
};

const swatched = (style, text) => element("span", { class: "key" }, element("span", { class: `swatch ${style.symbol}`, style: { "--swatch": style.colour } }), text);

const drawLegend = () => {
  const by = shownBy();
  const values = by.values();
  legend.hidden = by.kind === "stratum";
  legend.replaceChildren();
  if (by.kind === "category") {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    legend.append(...by.names.map((name, i) => swatched(name ? styleOf(i) : styleOf(null), `${name || "(none)"} ${counts.get(i) ?? 0}`)));
  } else if (by.kind === "number") {
    const ends = range(values);
    if (!ends) return;
    const stops = [0, 0.25, 0.5, 0.75, 1].map(ramp).join(", ");
    legend.append(
      element("span", { class: "key" }, told(ends[0]), element("span", { class: "ramp", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${stops})` } }), told(ends[1])),
      element("span", { class: "quiet", text: by.unit }),
      ...(values.some((v) => v === null) ? [swatched(styleOf(null), "not known")] : []),
    );
  }
};

const choose = async () => {
  store.colouring = choice.value;
  if (choice.value === DISTANCE) await coverage().catch((error) => toast(error.message, { bad: true }));
  change({ painted: Symbol("painted") });
};

export const start = () => {
  choice.append(...measures().filter((each) => each.kind !== "text").map((each) => element("option", { value: each.id, text: each.name })));
  choice.addEventListener("change", choose);
  DARK.addEventListener("change", () => drawLegend());
  listen((changed) => {
    if (store.colouring === DISTANCE && changed.has("state")) coverage().then(() => change({ painted: Symbol("painted") }), () => {});
    if (changed.has("painted")) drawLegend();
  });
  drawLegend();
};
