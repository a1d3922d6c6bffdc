// Volumes in NiiVue: a pane a channel, all at the same place of the patient and at the same scale.

import { element } from "./dom.js";
import { AXES, Pane } from "./panes.js";
import { clamped } from "./zoom.js";

export class Volumes {
  constructor(moved) {
    this.moved = moved;
    this.panes = [];
    this.layout = ["planes", "mosaic"];
    this.scale = 1;
    this.pan = [0, 0, 0];
    this.facts = this.map = null;
  }

  async start(box) {
    this.grid = element("div", { class: "gl-box" });
    box.replaceChildren(this.grid);
  }

  async show(name, facts, channels) {
    const first = this.panes[0];
    const same = this.name === name;
    if (!same) [this.scale, this.pan, this.map] = [1, [0, 0, 0], null];
    const before = same && first?.niivue?.volumes.length ? [...first.niivue.scene.crosshairPos] : null;
    while (this.panes.length > channels.length) this.panes.pop().stop();
    const added = channels.slice(this.panes.length).map(() => new Pane(this));
    this.grid.dataset.panes = channels.length;
    this.grid.append(...added.map((pane) => pane.box));
    this.panes.push(...added);
    Object.assign(this, { name, facts });
    for (const [i, pane] of [...this.panes].entries()) {
      if (!pane.niivue) await pane.start(); // one after another: the first is there while the others start
      if (!this.panes.includes(pane)) return;
      pane.setLayout(...this.layout);
      pane.title.textContent = channels.length > 1 ? facts.channels[channels[i]].name : "";
      await pane.load(name, channels[i], facts.channels[channels[i]]);
      if (before) pane.niivue.scene.crosshairPos = before;
      pane.setLayout(...this.layout);
      if (this.map) await pane.lay(this.map);
    }
  }

  // Zoom by a factor, null for whole slices; the point ``mm`` stays where it is, else the crosshair does.
  zoomBy(factor, mm = null) {
    const first = this.panes[0]?.niivue;
    if (!first?.volumes.length) return;
    const fixed = mm ?? [...first.frac2mm(first.scene.crosshairPos)];
    const scale = factor === null ? 1 : clamped(this.scale * factor);
    const pan = scale === 1 ? [0, 0, 0] : this.pan.map((v, i) => v - (scale - this.scale) * fixed[i]);
    this.scale = scale;
    this.panTo(pan);
  }

  panTo(pan) {
    this.pan = this.scale === 1 ? [0, 0, 0] : pan;
    for (const pane of this.panes) pane.draw();
    this.moved();
  }

  async lay(facts) {
    this.map = facts;
    for (const pane of [...this.panes]) if (pane.niivue && this.map === facts) await pane.lay(facts);
  }

  setLayout(...layout) {
    this.layout = layout;
    for (const pane of this.panes) if (pane.niivue) pane.setLayout(...layout);
  }

  windowed() {
    this.draw();
    this.moved();
  }

  draw() {
    const there = this.panes.filter((pane) => pane.niivue?.volumes.length);
    for (const pane of there) pane.setWindow();
    for (const pane of there) pane.draw();
  }

  // All panes go to the same place of the patient, in mm.
  moveTo(place, by = this.panes[0]) {
    by.niivue.scene.crosshairPos = place;
    const mm = by.niivue.frac2mm(place);
    for (const pane of this.panes) {
      if (pane !== by && pane.niivue?.volumes.length) pane.niivue.scene.crosshairPos = pane.niivue.mm2frac(mm);
      pane.draw();
    }
  }

  along(axis, share) {
    const place = [...this.panes[0].niivue.scene.crosshairPos];
    place[axis] = share;
    this.moveTo(place);
  }

  atVoxel(change) {
    const { niivue } = this.panes[0] ?? {};
    if (!niivue?.volumes.length) return;
    const voxel = [...niivue.frac2vox(niivue.scene.crosshairPos)];
    const [, ...size] = niivue.volumes[0].dimsRAS;
    this.moveTo([...niivue.vox2frac(change(voxel).map((v, i) => Math.min(size[i] - 1, Math.max(0, v))))].slice(0, 3));
  }

  step(by, axis = 2) {
    this.atVoxel((voxel) => voxel.map((v, i) => (i === axis ? v + by : v)));
  }

  // The slice that is ``top`` slices below the top of a scan of ``n``; planes are cut across x, y, z of RAS.
  jump(plane, top, n) {
    const axis = AXES[plane][2];
    this.atVoxel((voxel) => voxel.map((v, i) => (i === axis ? Math.floor((n - 1 - top) / this.facts.reduced) : v)));
  }

  stop() {
    for (const pane of this.panes) pane.stop();
    this.panes = [];
  }
}
