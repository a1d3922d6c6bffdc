// Slices that the server draws, where the browser has no WebGL 2: all planes of all channels on show, locked together.

import { address } from "./api.js";
import { element } from "./dom.js";
import { PLANES, leftDrag, marks, panDrag } from "./frames.js";
import { dragged, sharesOf, windowOf } from "./windows.js";
import { Middle, ofWheel } from "./zoom.js";

const STEP = 0.01;
const MOSAIC = 9;
// Of each plane: the planes that its columns and its rows run through, and whether rows run from the head down.
const RUNS = { axial: ["sagittal", "coronal", false], coronal: ["sagittal", "axial", true], sagittal: ["coronal", "axial", true] };

export class Slices {
  constructor(moved) {
    this.moved = moved;
    this.places = { axial: 0.5, coronal: 0.5, sagittal: 0.5 };
    this.middle = new Middle();
    this.layout = ["planes", "mosaic"];
    this.map = null;
  }

  get scale() {
    return this.middle.scale;
  }

  async start(box) {
    this.grid = element("div", { class: "slices" });
    box.replaceChildren(element("p", { class: "quiet small", text: "This browser has no WebGL 2; the slices are drawn by firstscan." }), this.grid);
  }

  async show(name, facts, channels) {
    const same = this.name === name;
    if (!same) [this.middle, this.map] = [new Middle(), null];
    const known = same && this.channels?.join() === channels.join();
    Object.assign(this, { name, facts, channels });
    if (!known) this.build();
    this.draw();
  }

  get planes() {
    return this.layout[0] === "planes" ? PLANES : PLANES.filter((plane) => plane === this.layout[0]);
  }

  build() {
    this.sliders = {};
    const several = this.channels.length > 1;
    const mosaic = this.layout[0] === "planes";
    this.mosaics = [];
    this.tiles = [];
    const figures = this.channels.flatMap((channel, i) => {
      const tiles = this.planes.map((plane) => this.tile(channel, plane, i === 0));
      this.tiles.push(...tiles);
      return [...tiles.map((tile) => tile.figure), ...(mosaic ? [this.mosaic(channel)] : [])];
    });
    const sliders = this.planes.map((plane) => {
      this.sliders[plane] = element("input", { type: "range", min: 0, max: 1, step: 0.005, value: this.places[plane], "aria-label": `${plane} slice`, oninput: (event) => this.go(plane, Number(event.target.value)) });
      return element("label", { class: "slider small" }, this.sliders[plane], element("span", { text: plane }));
    });
    this.grid.dataset.columns = mosaic ? (several ? 4 : 2) : several ? 2 : 1;
    this.grid.replaceChildren(...figures, element("div", { class: "sliders" }, ...sliders));
  }

  // Nine axial slices, evenly spaced; each leads there.
  mosaic(channel) {
    const images = [...Array(MOSAIC).keys()].map((i) => ({ place: Number((1 - (i + 1) / (MOSAIC + 1)).toFixed(3)), image: element("img", { alt: "", draggable: "false" }) }));
    this.mosaics.push({ channel, images });
    const buttons = images.map(({ place, image }, i) => element("button", { type: "button", "aria-label": `Go to axial slice ${i + 1} of the overview`, onclick: () => this.go("axial", place) }, image));
    return element("figure", { class: "flat-mosaic" }, element("div", { class: "mosaic-grid" }, ...buttons, marks("axial", false).box));
  }

  tile(channel, plane, first) {
    const image = element("img", { alt: first ? `${plane} slice` : `${plane} slice of ${this.facts.channels[channel].name}`, draggable: "false" });
    const drawn = marks(plane);
    const frame = element("div", { class: "frame" }, image, drawn.box);
    const facts = this.facts.channels[channel];
    const title = this.channels.length > 1 ? element("span", { class: "pane-title small", text: facts.name }) : null;
    if (title) frame.append(title);
    let from;
    leftDrag(frame, {
      begin: () => ((from = windowOf(facts)), true),
      drag: (dx, dy) => (dragged(facts, from, dx, dy), this.draw(), this.moved()),
      click: (event) => this.point(plane, event, frame),
    });
    let last;
    panDrag(frame, { begin: () => (last = [0, 0]), drag: (dx, dy) => (this.pan(plane, frame, dx - last[0], dy - last[1]), (last = [dx, dy])) });
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) this.zoomBy(ofWheel(event), this.under(plane, event, frame));
      else this.go(plane, this.places[plane] - Math.sign(event.deltaY) * STEP);
    }, { passive: false });
    return { channel, plane, image, marks: drawn, figure: element("figure", {}, frame) };
  }

  // The shares of the patient under the pointer, by axis.
  under(plane, event, frame) {
    const box = frame.getBoundingClientRect();
    const [across, down, turned] = RUNS[plane];
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return { [across]: this.middle.under(across, x), [down]: this.middle.under(down, y, turned) };
  }

  point(plane, event, frame) {
    Object.assign(this.places, this.under(plane, event, frame));
    this.draw();
  }

  pan(plane, frame, dx, dy) {
    const box = frame.getBoundingClientRect();
    const [across, down, turned] = RUNS[plane];
    this.middle.move(across, -dx / box.width / this.middle.scale);
    this.middle.move(down, ((turned ? 1 : -1) * dy) / box.height / this.middle.scale);
    this.draw();
  }

  zoomBy(factor, fixed = this.places) {
    this.middle.by(factor, fixed);
    this.draw();
    this.moved();
  }

  async lay(facts) {
    if (this.map === facts) return;
    this.map = facts;
    if (this.tiles) this.draw();
  }

  go(plane, place) {
    this.places[plane] = Math.min(1, Math.max(0, place));
    this.draw();
  }

  picture(channel, plane, place) {
    const [low, high] = sharesOf(this.facts.channels[channel]);
    return address(this.map ? "disagreement/slice" : "slice", { case: this.name, channel, plane, place, low, high });
  }

  draw() {
    for (const plane of this.planes) this.sliders[plane].value = this.places[plane];
    for (const tile of this.tiles) {
      const wanted = this.picture(tile.channel, tile.plane, this.places[tile.plane]);
      if (tile.image.getAttribute("src") !== wanted) tile.image.src = wanted;
      const [across, down, turned] = RUNS[tile.plane];
      const { scale, at } = this.middle;
      const shift = [0.5 - at[across], turned ? at[down] - 0.5 : 0.5 - at[down]];
      tile.image.style.setProperty("transform", `scale(${scale}) translate(${100 * shift[0]}%, ${100 * shift[1]}%)`);
      tile.marks.place(this.middle.shown(across, this.places[across]), this.middle.shown(down, this.places[down], turned));
    }
    clearTimeout(this.later);
    this.later = setTimeout(() => this.fillMosaics(), 150);
  }

  fillMosaics() {
    for (const { channel, images } of this.mosaics)
      for (const { place, image } of images) {
        const wanted = this.picture(channel, "axial", place);
        if (image.getAttribute("src") !== wanted) image.src = wanted;
      }
  }

  step(by) {
    this.go("axial", this.places.axial + by * STEP);
  }

  jump(plane, top, n) {
    const along = plane === "axial" ? n - 1 - top : top;
    this.go(plane, n > 1 ? along / (n - 1) : 0.5);
  }

  setLayout(...layout) {
    const known = this.layout.join() === layout.join();
    this.layout = layout;
    if (known || !this.facts) return;
    this.build();
    this.draw();
  }

  stop() {
    clearTimeout(this.later);
  }
}
