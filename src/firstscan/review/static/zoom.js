// How large slices are shown, and which part of them; the same in all planes, kept while a scan is looked at.

import { button, element } from "./dom.js";

export const MOST = 12;
const STEP = 1.25;

export const clamped = (scale) => Math.min(MOST, Math.max(1, scale));

// The factor of one turn of the wheel.
export const ofWheel = (event) => Math.exp(-Math.sign(event.deltaY) * 0.18);

// Buttons with the scale between them; ``run`` is given a factor, null for the whole slice.
export const zoomTools = (run) => {
  const scale = element("output", { class: "numbers scale", "aria-label": "Scale of the slices" });
  const whole = button("Fit", () => run(null), { title: "Show whole slices (Z)", "aria-keyshortcuts": "Z" });
  const [less, more] = [button("−", () => run(1 / STEP), { "aria-label": "Smaller (-)" }), button("+", () => run(STEP), { "aria-label": "Larger (+)" })];
  const tell = (now) => {
    scale.textContent = `${Math.round(100 * now)} %`;
    whole.disabled = less.disabled = now <= 1;
    more.disabled = now >= MOST;
  };
  tell(1);
  const keys = { "+": STEP, "=": STEP, "-": 1 / STEP, z: null };
  const onKey = (name) => name in keys && (run(keys[name]), true);
  return { box: element("div", { class: "group zoom", role: "group", "aria-label": "Scale" }, less, scale, more, whole), tell, onKey };
};

// The middle of what a flat slice shows, in shares of the patient's three axes, where the server draws.
export class Middle {
  constructor() {
    this.scale = 1;
    this.at = { sagittal: 0.5, coronal: 0.5, axial: 0.5 };
  }

  // Zoom by a factor; ``fixed`` are the shares that stay where they are, by axis.
  by(factor, fixed) {
    const before = this.scale;
    this.scale = factor === null ? 1 : clamped(before * factor);
    for (const [axis, share] of Object.entries(fixed)) this.at[axis] = share - ((share - this.at[axis]) * before) / this.scale;
    this.within();
  }

  move(axis, share) {
    this.at[axis] += share;
    this.within();
  }

  within() {
    const half = 0.5 / this.scale;
    for (const axis of Object.keys(this.at)) this.at[axis] = Math.min(1 - half, Math.max(half, this.at[axis]));
  }

  // Where a share lies in the frame, and back.
  shown(axis, share, turned = false) {
    const place = (share - this.at[axis]) * this.scale;
    return 0.5 + (turned ? -place : place);
  }

  under(axis, place, turned = false) {
    return this.at[axis] + (turned ? 0.5 - place : place - 0.5) / this.scale;
  }
}
