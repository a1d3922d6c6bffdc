// Volumes in NiiVue: a pane a channel, all at the same place of the patient. Letters, crosshair and mouse are our own.

import { address } from "./api.js";
import { element } from "./dom.js";
import { leftDrag, marks } from "./frames.js";
import { dragged, sharesOf, windowOf } from "./windows.js";

const AXES = { axial: [0, 1, 2], coronal: [0, 2, 1], sagittal: [1, 2, 0] }; // across, down, through
const TYPES = { axial: 0, coronal: 1, sagittal: 2 };
const RENDER = 4;
const QUARTERS = { axial: [0, 0, 0.5, 0.5], coronal: [0.5, 0, 0.5, 0.5], sagittal: [0, 0.5, 0.5, 0.5] };
const FOURTH = [0.5, 0.5, 0.5, 0.5];
const MOSAIC = 9;
let script = null;

export const hasWebGl = () => Boolean(document.createElement("canvas").getContext("webgl2"));

const loaded = () =>
  (script ??= new Promise((resolve, reject) => {
    const made = element("script", { src: "static/niivue.umd.js" });
    made.onload = () => resolve(window.niivue);
    made.onerror = () => ((script = null), reject(new Error("The viewer could not be loaded.")));
    document.head.append(made);
  }));

class Pane {
  constructor(owner) {
    this.owner = owner;
    this.canvas = element("canvas", { class: "gl", role: "img" });
    this.over = element("div", { class: "over" });
    this.title = element("span", { class: "pane-title small" });
    this.box = element("div", { class: "pane" }, this.canvas, this.over, this.title);
    this.mosaic = element("div", { class: "mosaic", hidden: true });
    this.mosaicMarks = marks("axial", false);
    this.box.append(this.mosaic);
    this.tiles = {};
  }

  async start() {
    const { Niivue } = await loaded();
    this.niivue = new Niivue({
      backColor: [0, 0, 0, 1], crosshairWidth: 0, viewModeHotKey: "", clipPlaneHotKey: "", show3Dcrosshair: false, isRadiologicalConvention: true, sagittalNoseLeft: true,
      isOrientationTextVisible: false, multiplanarShowRender: 0, isColorbar: false, dragAndDropEnabled: false, loadingText: "", logLevel: "silent",
    });
    await this.niivue.attachToCanvas(this.canvas);
    this.watcher = new ResizeObserver(() => requestAnimationFrame(() => this.draw()));
    this.watcher.observe(this.box);
    let from;
    leftDrag(this.over, {
      begin: (event) => ((from = { window: this.channel && windowOf(this.channel), tile: this.tileAt(event), turn: [this.niivue.scene.renderAzimuth, this.niivue.scene.renderElevation] }), Boolean(this.channel)),
      drag: (dx, dy) => (from.tile?.axCorSag === RENDER ? this.turn(from.turn, dx, dy) : (dragged(this.channel, from.window, dx, dy), this.owner.windowed())),
      click: (event) => this.point(event),
    });
    this.over.addEventListener("wheel", (event) => (event.preventDefault(), this.wheel(event)), { passive: false });
  }

  async load(name, number, channel) {
    Object.assign(this, { name, number, channel });
    const [low, high] = windowOf(channel);
    const url = new URL(address("volume", { case: name, channel: number }), document.baseURI).href;
    this.canvas.setAttribute("aria-label", `Axial, coronal and sagittal slices, ${channel.name}`);
    await this.niivue.loadVolumes([{ url, name: `${number}.nii`, cal_min: low, cal_max: high, colormap: "gray" }]);
  }

  setLayout(layout, fourth) {
    const shown = layout === "planes" ? Object.entries(QUARTERS) : [[layout, [0, 0, 1, 1]]];
    const tiles = shown.map(([plane, position]) => ({ sliceType: TYPES[plane], position }));
    if (layout === "planes" && fourth === "3d") tiles.push({ sliceType: RENDER, position: FOURTH });
    this.niivue.setCustomLayout(tiles);
    this.mosaic.hidden = layout !== "planes" || fourth !== "mosaic";
    this.tiles = Object.fromEntries(shown.map(([plane]) => [plane, marks(plane)]));
    this.over.replaceChildren(...Object.values(this.tiles).map((tile) => tile.box));
    this.fillMosaic();
    this.draw();
  }

  // The fourth pane: nine axial slices, evenly spaced; a click goes there.
  fillMosaic() {
    if (this.mosaic.hidden || !this.name) return;
    const [low, high] = sharesOf(this.channel);
    const places = [...Array(MOSAIC).keys()].map((i) => Number((1 - (i + 1) / (MOSAIC + 1)).toFixed(3)));
    this.mosaic.replaceChildren(
      ...places.map((place, i) =>
        element("button", { type: "button", "aria-label": `Go to axial slice ${i + 1} of the overview`, onclick: () => this.owner.along(2, place) },
          element("img", { alt: "", draggable: "false", src: address("slice", { case: this.name, channel: this.number, plane: "axial", place, low, high }) })),
      ),
      this.mosaicMarks.box,
    );
  }

  setWindow() {
    const volume = this.niivue.volumes[0];
    if (!volume) return;
    [volume.cal_min, volume.cal_max] = windowOf(this.channel);
    this.niivue.updateGLVolume();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.fillMosaic(), 250);
  }

  turn([azimuth, elevation], dx, dy) {
    this.niivue.scene.renderAzimuth = azimuth + dx / 2;
    this.niivue.scene.renderElevation = elevation + dy / 2;
    this.draw();
  }

  pixel(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }

  tileAt(event) {
    const [x, y] = this.pixel(event);
    return this.niivue.screenSlices.find(({ leftTopWidthHeight: [l, t, w, h] }) => x >= l && x <= l + w && y >= t && y <= t + h);
  }

  point(event) {
    const tile = this.tileAt(event);
    if (!tile || tile.axCorSag === RENDER) return;
    const found = this.niivue.screenXY2TextureFrac(...this.pixel(event), this.niivue.screenSlices.indexOf(tile), true);
    if (found[0] >= 0) this.owner.moveTo([...found].slice(0, 3), this);
  }

  wheel(event) {
    const plane = Object.keys(TYPES).find((name) => TYPES[name] === this.tileAt(event)?.axCorSag);
    if (plane) this.owner.step(-Math.sign(event.deltaY), AXES[plane][2]);
  }

  draw() {
    if (!this.niivue?.volumes.length) return;
    this.niivue.drawScene();
    const ratio = this.canvas.width / this.canvas.clientWidth || 1;
    const at = this.niivue.scene.crosshairPos;
    for (const [i, slice] of this.niivue.screenSlices.entries()) {
      const plane = Object.keys(TYPES).find((name) => TYPES[name] === slice.axCorSag);
      if (!plane || !this.tiles[plane]) continue;
      const [l, t, w, h] = slice.leftTopWidthHeight;
      for (const [name, value] of Object.entries({ left: l, top: t, width: w, height: h })) this.tiles[plane].box.style.setProperty(name, `${value / ratio}px`);
      const [across, down] = AXES[plane];
      const [first, last] = [0.25, 0.75].map((share) => this.niivue.screenXY2TextureFrac(l + share * w, t + share * h, i, false));
      const share = (axis) => 0.25 + (0.5 * (at[axis] - first[axis])) / (last[axis] - first[axis]);
      this.tiles[plane].place(share(across), share(down));
    }
  }

  stop() {
    this.watcher?.disconnect();
    clearTimeout(this.later);
    this.niivue?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.box.remove();
  }
}

export class Volumes {
  constructor(moved) {
    this.moved = moved;
    this.panes = [];
    this.layout = ["planes", "mosaic"];
  }

  async start(box) {
    this.grid = element("div", { class: "gl-box" });
    box.replaceChildren(this.grid);
  }

  async show(name, facts, channels) {
    const first = this.panes[0];
    const before = this.name === name && first?.niivue?.volumes.length ? [...first.niivue.scene.crosshairPos] : null;
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
    }
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
