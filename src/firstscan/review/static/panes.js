// One pane of NiiVue: the planes of one channel, with the letters, the crosshair, the overview and the mouse of this page.

import { address } from "./api.js";
import { element } from "./dom.js";
import { leftDrag, marks, panDrag } from "./frames.js";
import { dragged, sharesOf, windowOf } from "./windows.js";
import { ofWheel } from "./zoom.js";

export const AXES = { axial: [0, 1, 2], coronal: [0, 2, 1], sagittal: [1, 2, 0] }; // across, down, through
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

export class Pane {
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
    let held;
    panDrag(this.over, {
      begin: (event) => (held = { pan: [...this.owner.pan], along: this.along(event) }),
      drag: (dx, dy) => held.along && this.owner.panTo(held.pan.map((v, i) => v + this.owner.scale * (held.along.x[i] * dx + held.along.y[i] * dy))),
    });
    this.over.addEventListener("wheel", (event) => (event.preventDefault(), this.wheel(event)), { passive: false });
  }

  async load(name, number, channel) {
    Object.assign(this, { name, number, channel });
    const [low, high] = windowOf(channel);
    const url = new URL(address("volume", { case: name, channel: number }), document.baseURI).href;
    this.canvas.setAttribute("aria-label", `Axial, coronal and sagittal slices, ${channel.name}`);
    await this.niivue.loadVolumes([{ url, name: `${number}.nii`, cal_min: low, cal_max: high, colormap: "gray" }]);
    this.laid = null;
  }

  // Lay the map of disagreement over the scan, or take it away; NiiVue resamples it to the scan's grid.
  async lay(facts) {
    const { niivue, name } = this;
    if (this.laid === facts || !niivue?.volumes.length) return;
    this.laid = facts;
    while (niivue.volumes.length > 1) niivue.removeVolume(niivue.volumes[1]);
    if (facts) {
      const channel = (i) => facts.colours.map((colour) => colour[i]);
      niivue.addColormap("disagreement", { R: channel(0), G: channel(1), B: channel(2), A: channel(3), I: facts.colours.map((_, i) => Math.round((255 * i) / (facts.colours.length - 1))) });
      const url = new URL(address("disagreement/volume", { case: name }), document.baseURI).href;
      await niivue.addVolumeFromUrl({ url, name: "disagreement.nii", cal_min: facts.low, cal_max: facts.high, colormap: "disagreement", opacity: 1 });
      if (this.laid !== facts || this.name !== name) return;
    }
    this.fillMosaic();
    this.draw();
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
          element("img", { alt: "", draggable: "false", src: address(this.laid ? "disagreement/slice" : "slice", { case: this.name, channel: this.number, plane: "axial", place, low, high }) })),
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

  // What one pixel to the right and one down are in mm, in the slice under the pointer.
  along(event) {
    const tile = this.tileAt(event);
    if (!tile || tile.axCorSag === RENDER) return null;
    const [[x, y], i, ratio] = [this.pixel(event), this.niivue.screenSlices.indexOf(tile), this.canvas.width / this.canvas.clientWidth];
    const mm = (a, b) => [...this.niivue.frac2mm([...this.niivue.screenXY2TextureFrac(a, b, i, false)].slice(0, 3))];
    const from = mm(x, y);
    return { x: mm(x + ratio, y).map((v, k) => v - from[k]).slice(0, 3), y: mm(x, y + ratio).map((v, k) => v - from[k]).slice(0, 3), from };
  }

  wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      this.owner.zoomBy(ofWheel(event), this.along(event)?.from);
      return;
    }
    const plane = Object.keys(TYPES).find((name) => TYPES[name] === this.tileAt(event)?.axCorSag);
    if (plane) this.owner.step(-Math.sign(event.deltaY), AXES[plane][2]);
  }

  draw() {
    if (!this.niivue?.volumes.length) return;
    this.niivue.scene.pan2Dxyzmm = [...this.owner.pan, this.owner.scale];
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
