// A range of numbers, set on a small histogram: two handles below it, or a stretch drawn across it.

import { element } from "./dom.js";
import { range, told } from "./measures.js";

const BINS = 28;
const STEPS = 200;

const binned = (values, low, high) => {
  const counts = Array(BINS).fill(0);
  for (const v of values) if (v !== null) counts[Math.min(BINS - 1, Math.floor(((v - low) / (high - low || 1)) * BINS))] += 1;
  return counts;
};

// The brush and ``admits``, which tells whether a value lies in it; ``changed`` is called after every move.
export const brush = (name, values, changed) => {
  const [low, high] = range(values) ?? [0, 1];
  const whole = values.every((v) => v === null || Number.isInteger(v)) && high - low <= 5 * STEPS;
  const steps = whole ? high - low || 1 : STEPS;
  const at = (step) => (whole ? low + step : low + (step / steps) * (high - low));
  const counts = binned(values, low, high);
  const most = Math.max(...counts, 1);
  const bars = counts.map((n) => element("span", { style: { height: n ? `${Math.max(6, (100 * n) / most)}%` : "0" } }));
  const words = element("output", { class: "small quiet" });
  const handle = (end, value) => element("input", { type: "range", min: 0, max: steps, step: 1, value, class: end, "aria-label": `${name} ${end}`, oninput: () => moved(end) });
  const [from, to] = [handle("from", 0), handle("to", steps)];
  const ends = () => [Number(from.value), Number(to.value)];
  const draw = () => {
    const [a, b] = ends();
    for (const input of [from, to]) input.setAttribute("aria-valuetext", told(at(Number(input.value))));
    bars.forEach((bar, i) => bar.classList.toggle("out", (i + 1) / BINS <= a / steps || i / BINS >= b / steps));
    words.textContent = `${told(at(a))} to ${told(at(b))}`;
  };
  const moved = (end) => {
    const [a, b] = ends();
    if (a > b) (end === "from" ? from : to).value = end === "from" ? b : a;
    draw();
    changed();
  };
  const histogram = element("div", { class: "histogram", "aria-hidden": "true" }, ...bars);
  const track = element("div", { class: "handles" }, from, to);
  let drawn = null;
  const step = (event) => {
    const box = histogram.getBoundingClientRect();
    return Math.round(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * steps);
  };
  histogram.addEventListener("pointerdown", (event) => ((drawn = step(event)), histogram.setPointerCapture(event.pointerId)));
  histogram.addEventListener("pointermove", (event) => {
    if (drawn === null) return;
    const now = step(event);
    [from.value, to.value] = [Math.min(drawn, now), Math.max(drawn, now)];
    draw();
    changed();
  });
  histogram.addEventListener("pointerup", () => (drawn = null));
  histogram.addEventListener("pointercancel", () => (drawn = null));
  draw();
  const admits = (value) => {
    const [a, b] = ends();
    if (value === null) return a === 0 && b === steps;
    const slack = 1e-9 * (high - low);
    return value >= at(a) - slack && value <= at(b) + slack;
  };
  return { box: element("div", { class: "brush" }, histogram, track, words), admits };
};
