// A scan to look through: NiiVue where the browser has WebGL 2, else slices that the server draws.

import { address, get } from "./api.js";
import { buttons, heading, metadata, meters, reason, warnings } from "./detail.js";
import { dialog } from "./dialogs.js";
import { button, element } from "./dom.js";
import { planned } from "./planned.js";
import { batch, listen, nameOf, pickOf, store } from "./store.js";

const PLANES = ["axial", "coronal", "sagittal"];
let open = null;
let script = null;

const hasWebGl = () => Boolean(document.createElement("canvas").getContext("webgl2"));

const loaded = () =>
  (script ??= new Promise((resolve, reject) => {
    const made = element("script", { src: "static/niivue.umd.js" });
    made.onload = () => resolve(window.niivue);
    made.onerror = () => ((script = null), reject(new Error("The viewer could not be loaded.")));
    document.head.append(made);
  }));

class Volumes {
  async start(box) {
    const { Niivue } = await loaded();
    const canvas = element("canvas", { class: "gl", role: "img", "aria-label": "Axial, coronal and sagittal slices" });
    box.replaceChildren(element("div", { class: "gl-box" }, canvas));
    this.niivue = new Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [0.52, 0.74, 0.94, 0.7], crosshairWidth: 0.3, crosshairWidthUnit: "percent", fontColor: [0.75, 0.8, 0.85, 1], viewModeHotKey: "", clipPlaneHotKey: "", show3Dcrosshair: false, isRadiologicalConvention: true, sagittalNoseLeft: true,
      multiplanarShowRender: 0, multiplanarForceRender: false, isColorbar: false, dragAndDropEnabled: false, loadingText: "", logLevel: "silent",
    });
    await this.niivue.attachToCanvas(canvas);
    this.niivue.setSliceType(this.niivue.sliceTypeMultiplanar);
  }

  async show(name, facts, channel) {
    const before = this.name === name && this.niivue.volumes.length ? [...this.niivue.scene.crosshairPos] : null;
    this.name = name;
    const [low, high] = facts.channels[channel].window;
    const url = new URL(address("volume", { case: name, channel }), document.baseURI).href;
    await this.niivue.loadVolumes([{ url, name: `${channel}.nii`, cal_min: low, cal_max: high, colormap: "gray" }]);
    if (before) {
      this.niivue.scene.crosshairPos = before;
      this.niivue.drawScene();
    }
  }

  step(by) {
    this.niivue?.moveCrosshairInVox(0, 0, by);
  }

  // The slice that is ``top`` slices below the top of a scan of ``n``; planes are cut across x, y, z of RAS.
  jump(plane, top, n) {
    if (!this.niivue?.volumes.length) return;
    const voxel = [...this.niivue.frac2vox(this.niivue.scene.crosshairPos)];
    voxel[{ sagittal: 0, coronal: 1, axial: 2 }[plane]] = Math.floor((n - 1 - top) / open.facts.reduced);
    this.niivue.scene.crosshairPos = this.niivue.vox2frac(voxel);
    this.niivue.drawScene();
  }

  stop() {
    this.niivue?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

class Slices {
  async start(box) {
    this.places = { axial: 0.5, coronal: 0.5, sagittal: 0.5 };
    this.images = {};
    this.sliders = {};
    box.replaceChildren(
      element("p", { class: "quiet small", text: "This browser has no WebGL 2; the slices are drawn by firstscan." }),
      element("div", { class: "slices" }, ...PLANES.map((plane) => this.plane(plane))),
    );
  }

  step(by) {
    this.sliders.axial.value = Number(this.sliders.axial.value) + by * 0.01;
    this.go("axial", Number(this.sliders.axial.value));
  }

  jump(plane, top, n) {
    const along = plane === "axial" ? n - 1 - top : top;
    const place = n > 1 ? along / (n - 1) : 0.5;
    this.sliders[plane].value = place;
    this.go(plane, place);
  }

  plane(plane) {
    const image = (this.images[plane] = element("img", { alt: `${plane} slice` }));
    const slider = this.sliders[plane] = element("input", { type: "range", min: 0, max: 1, step: 0.005, value: 0.5, "aria-label": `${plane} slice`, oninput: (event) => this.go(plane, Number(event.target.value)) });
    image.addEventListener("wheel", (event) => {
      event.preventDefault();
      slider.value = Number(slider.value) + Math.sign(event.deltaY) * 0.01;
      this.go(plane, Number(slider.value));
    }, { passive: false });
    return element("figure", {}, image, slider, element("figcaption", { class: "small", text: plane }));
  }

  go(plane, place) {
    this.places[plane] = place;
    this.images[plane].src = address("slice", { case: this.name, channel: this.channel, plane, place });
  }

  async show(name, facts, channel) {
    Object.assign(this, { name, channel });
    for (const plane of PLANES) this.go(plane, this.places[plane]);
  }

  stop() {}
}

const order = () => {
  const picks = batch().picks.map((p) => p.row);
  return picks.includes(open.row) ? picks : [open.row];
};

const go = (by) => {
  const rows = order();
  const next = rows[rows.indexOf(open.row) + by];
  if (next !== undefined) show(next);
};

const showChannel = async (channel) => {
  const { row, facts, ticket } = open;
  open.channel = channel;
  for (const [i, each] of [...open.channels.children].entries()) each.setAttribute("aria-pressed", String(i === channel));
  try {
    open.reader ??= hasWebGl() ? new Volumes() : new Slices();
    if (!open.started) await (open.started = open.reader.start(open.stage));
    await open.started;
    if (open?.ticket !== ticket) return;
    await open.reader.show(nameOf(row), facts, channel);
    if (open?.ticket === ticket && open.jumped !== ticket) jump(open.planned);
  } catch (error) {
    if (open?.ticket === ticket) problem(error.message);
  }
};

const slicesOf = (row) => pickOf(row)?.slices ?? null;

// Go to a planned slice, by its place in the list from the top.
const jump = (at) => {
  const slices = slicesOf(open.row);
  if (!slices || at < 0 || at >= slices.top.length) return;
  open.jumped = open.ticket;
  open.planned = at;
  open.reader?.jump(slices.plane, slices.top[at], slices.of);
  open.list?.mark(at);
};

const problem = (text) => {
  open.reader?.stop();
  open.reader = open.started = null;
  open.stage.replaceChildren(element("div", { class: "problem" }, element("p", { text }), element("p", { class: "quiet", text: "The other scans can be looked at as before; you can veto this one." })));
};

const note = (facts) => {
  const size = `${facts.shape.join(" × ")} voxels of ${facts.spacing_mm.map((s) => Number(s.toPrecision(3))).join(" × ")} mm`;
  return facts.reduced > 1 ? `${size}; large, so only every ${facts.reduced}th voxel is shown` : size;
};

const describe = () => {
  const row = open.row;
  const pick = pickOf(row);
  open.list = planned(slicesOf(row), open.planned ?? 0, jump);
  open.side.replaceChildren(heading(row), reason(row), open.list?.box ?? "", meters(row), warnings(row) ?? "", metadata(row), buttons(row));
  const rows = order();
  const at = rows.indexOf(row);
  open.position.textContent = pick ? `${at + 1} of ${rows.length}` : "not in the batch";
  open.previous.disabled = at <= 0;
  open.next.disabled = at >= rows.length - 1;
};

const show = async (row) => {
  const ticket = Symbol("scan");
  Object.assign(open, { row, ticket, planned: Math.floor((slicesOf(row)?.top.length ?? 0) / 2) });
  open.box.querySelector("h2").textContent = nameOf(row);
  open.choose(row);
  describe();
  open.info.textContent = "";
  if (!store.pool.pictures) return problem((await get("scan", { case: nameOf(row) })).problem);
  if (!open.reader) open.stage.replaceChildren(element("p", { class: "quiet waiting", text: "Reading the scan …" }));
  try {
    const facts = await get("scan", { case: nameOf(row) });
    if (open?.ticket !== ticket) return undefined;
    if (facts.problem) return problem(facts.problem);
    open.facts = facts;
    open.info.textContent = note(facts);
    const names = facts.channels.map((c) => c.name);
    open.channels.replaceChildren(...names.map((name, i) => button(name, () => showChannel(i), { title: `Channel ${i + 1} (${i + 1})` })));
    open.channels.hidden = names.length < 2;
    return await showChannel(Math.min(open.channel ?? 0, names.length - 1));
  } catch (error) {
    return open?.ticket === ticket ? problem(error.message) : undefined;
  }
};

export const isViewing = () => open !== null;

// Keys that mean something else while a scan is looked at; true where one was.
export const viewerKey = (event) => {
  if (event.key === "ArrowRight" || event.key === "PageDown") go(1);
  else if (event.key === "ArrowLeft" || event.key === "PageUp") go(-1);
  else if (event.key === "ArrowUp") open.reader?.step(1);
  else if (event.key === "ArrowDown") open.reader?.step(-1);
  else if (event.key === "n") jump((open.planned ?? 0) + 1);
  else if (event.key === "b") jump((open.planned ?? 0) - 1);
  else if (/^[1-9]$/.test(event.key) && open.facts?.channels[Number(event.key) - 1]) showChannel(Number(event.key) - 1);
  else return false;
  return true;
};

export const view = (row, choose) => {
  if (row === null || open) return;
  const stage = element("div", { class: "stage", tabindex: "0", autofocus: true, role: "group", "aria-label": "Slices; the wheel, ↑ and ↓ go through them" });
  const side = element("div", { class: "side-text" });
  const channels = element("div", { class: "chips channels", role: "group", "aria-label": "Channels" });
  const previous = button("‹ Previous", () => go(-1), { "aria-keyshortcuts": "ArrowLeft" });
  const next = button("Next ›", () => go(1), { "aria-keyshortcuts": "ArrowRight" });
  const position = element("span", { class: "quiet", role: "status" });
  const info = element("span", { class: "quiet small" });
  const box = dialog(
    nameOf(row),
    { class: "viewer" },
    element("div", { class: "viewer-body" }, stage, side),
    element("footer", { class: "viewer-foot" }, channels, info, element("div", { class: "ends" }, position, previous, next)),
  );
  open = { box, stage, side, channels, previous, next, position, info, choose, row, reader: null };
  box.addEventListener("close", () => {
    open.reader?.stop();
    open = null;
  });
  show(row);
};

// A veto or a replacement puts another scan at the same rank: look at that one.
listen((changed) => {
  if (!open || !changed.has("state")) return;
  if (changed.has("focus") && store.focus !== open.row && store.focus !== null) show(store.focus);
  else describe();
});

