// Slices that the server draws, where the browser has no WebGL 2: all planes of all channels on show, locked together.

import { address } from "./api.js";
import { element } from "./dom.js";
import { PLANES, leftDrag, marks } from "./frames.js";
import { dragged, sharesOf, windowOf } from "./windows.js";

const STEP = 0.01;

export class Slices {
  constructor(moved) {
    this.moved = moved;
    this.places = { axial: 0.5, coronal: 0.5, sagittal: 0.5 };
  }

  async start(box) {
    this.grid = element("div", { class: "slices" });
    box.replaceChildren(element("p", { class: "quiet small", text: "This browser has no WebGL 2; the slices are drawn by firstscan." }), this.grid);
  }

  async show(name, facts, channels) {
    const known = this.name === name && this.channels?.join() === channels.join();
    Object.assign(this, { name, facts, channels });
    if (!known) this.build();
    this.draw();
  }

  build() {
    this.sliders = {};
    this.tiles = this.channels.flatMap((channel, i) => PLANES.map((plane) => this.tile(channel, plane, i === 0)));
    const sliders = PLANES.map((plane) => {
      this.sliders[plane] = element("input", { type: "range", min: 0, max: 1, step: 0.005, value: this.places[plane], "aria-label": `${plane} slice`, oninput: (event) => this.go(plane, Number(event.target.value)) });
      return element("label", { class: "slider small" }, this.sliders[plane], element("span", { text: plane }));
    });
    this.grid.replaceChildren(...this.tiles.map((tile) => tile.figure), ...sliders);
  }

  tile(channel, plane, first) {
    const image = element("img", { alt: first ? `${plane} slice` : `${plane} slice of ${this.facts.channels[channel].name}`, draggable: "false" });
    const drawn = marks(plane);
    const frame = element("div", { class: "frame" }, image, drawn.box);
    const facts = this.facts.channels[channel];
    let from;
    leftDrag(frame, {
      begin: () => ((from = windowOf(facts)), true),
      drag: (dx, dy) => (dragged(facts, from, dx, dy), this.draw(), this.moved()),
      click: (event) => this.point(plane, event, frame),
    });
    frame.addEventListener("wheel", (event) => (event.preventDefault(), this.go(plane, this.places[plane] - Math.sign(event.deltaY) * STEP)), { passive: false });
    return { channel, plane, image, marks: drawn, figure: element("figure", {}, frame) };
  }

  point(plane, event, frame) {
    const box = frame.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const [across, down] = { axial: ["sagittal", "coronal"], coronal: ["sagittal", "axial"], sagittal: ["coronal", "axial"] }[plane];
    this.places[across] = x;
    this.places[down] = down === "axial" ? 1 - y : y;
    this.draw();
  }

  go(plane, place) {
    this.places[plane] = Math.min(1, Math.max(0, place));
    this.draw();
  }

  draw() {
    const { axial, coronal, sagittal } = this.places;
    const at = { axial: [sagittal, coronal], coronal: [sagittal, 1 - axial], sagittal: [coronal, 1 - axial] };
    for (const plane of PLANES) this.sliders[plane].value = this.places[plane];
    for (const tile of this.tiles) {
      const [low, high] = sharesOf(this.facts.channels[tile.channel]);
      const wanted = address("slice", { case: this.name, channel: tile.channel, plane: tile.plane, place: this.places[tile.plane], low, high });
      if (tile.image.getAttribute("src") !== wanted) tile.image.src = wanted;
      tile.marks.place(...at[tile.plane]);
    }
  }

  step(by) {
    this.go("axial", this.places.axial + by * STEP);
  }

  jump(plane, top, n) {
    const along = plane === "axial" ? n - 1 - top : top;
    this.go(plane, n > 1 ? along / (n - 1) : 0.5);
  }

  setLayout() {}

  stop() {}
}
