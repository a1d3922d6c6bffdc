// A scan to look through: NiiVue where the browser has WebGL 2, else slices that the server draws.

import { standsFor } from "./alike.js";
import { address, get } from "./api.js";
import { buttons, heading, metadata, meters, reason, warnings } from "./detail.js";
import { dialog } from "./dialogs.js";
import { button, element } from "./dom.js";
import { overlayTools } from "./overlay.js";
import { hasWebGl } from "./panes.js";
import { planned } from "./planned.js";
import { Slices } from "./slices.js";
import { batch, listen, nameOf, pickOf, store } from "./store.js";
import { Volumes } from "./volumes.js";
import { windowTools } from "./windows.js";
import { zoomTools } from "./zoom.js";

const LAYOUTS = { "planes mosaic": "Three planes and overview", "planes 3d": "Three planes and 3D", axial: "Axial", coronal: "Coronal", sagittal: "Sagittal" };
const MOST_AT_ONCE = 4;
let open = null;
let layout = "planes mosaic";
let wanted = "all"; // the channel on show, or all of them side by side

const order = () => {
  const picks = batch().picks.map((p) => p.row);
  return picks.includes(open.row) ? picks : [open.row];
};

const go = (by) => {
  const rows = order();
  const next = rows[rows.indexOf(open.row) + by];
  if (next !== undefined) show(next);
};

const shownChannels = () => {
  const count = open.facts.channels.length;
  if (wanted === "all" && count <= MOST_AT_ONCE) return [...Array(count).keys()];
  return [Math.min(wanted === "all" ? 0 : wanted, count - 1)];
};

const showChannel = async (channel) => {
  const { row, facts, ticket } = open;
  wanted = channel;
  const shown = shownChannels();
  const all = shown.length > 1;
  for (const each of open.channels.children) each.setAttribute("aria-pressed", String(each.dataset.channel === (all ? "all" : String(shown[0]))));
  open.tools.fill(shown.map((i) => facts.channels[i]), facts.modality);
  try {
    const moved = () => (open?.tools.tell(), open?.zoom.tell(open.reader?.scale ?? 1));
    open.reader ??= hasWebGl() ? new Volumes(moved) : new Slices(moved);
    if (!open.started) await (open.started = open.reader.start(open.stage));
    await open.started;
    if (open?.ticket !== ticket) return;
    offerLayouts();
    open.reader.setLayout(...open.layout.value.split(" "));
    await (open.loading = Promise.resolve(open.loading).catch(() => {}).then(() => open?.ticket === ticket && open.reader.show(nameOf(row), facts, shown)));
    if (open?.ticket !== ticket) return;
    moved();
    if (open.jumped !== ticket) jump(open.planned);
    open.overlay.of(row);
    preload(order()[order().indexOf(row) + 1]);
  } catch (error) {
    if (open?.ticket === ticket) problem(error.message);
  }
};

// The server draws no scene in 3D: there the overview takes its place.
const offerLayouts = () => {
  const flat = open.reader instanceof Slices;
  const solid = open.layout.querySelector("[value='planes 3d']");
  solid.hidden = solid.disabled = flat;
  open.layout.value = flat && layout === "planes 3d" ? "planes mosaic" : layout;
};

// Have the server read the next scan, so that it is there when it is asked for.
const preload = async (row) => {
  if (row === undefined || open?.preloaded === row) return;
  open.preloaded = row;
  const shown = shownChannels();
  const facts = await get("scan", { case: nameOf(row) }).catch(() => null);
  if (!facts?.channels || !open || open.reader instanceof Slices) return;
  for (const channel of shown.filter((i) => i < facts.channels.length))
    await fetch(address("volume", { case: nameOf(row), channel })).then((answer) => answer.body?.cancel(), () => {});
};

const strip = () =>
  order().map((row) => {
    const pick = pickOf(row);
    return element(
      "button",
      { type: "button", class: "strip-item", "aria-current": row === open.row ? "true" : null, "aria-label": `${pick ? `Pick ${pick.rank}, ` : ""}${nameOf(row)}`, title: nameOf(row), onclick: () => show(row) },
      store.pool.pictures && element("img", { src: address("picture", { case: nameOf(row) }), alt: "", loading: "lazy", width: 44, height: 44, draggable: "false" }),
      element("span", { text: pick ? String(pick.rank) : "–" }),
    );
  });

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
  open.overlay.of(null);
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
  open.strip.replaceChildren(...strip());
  open.strip.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
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
    const side = names.length > 1 && names.length <= MOST_AT_ONCE;
    open.channels.replaceChildren(
      ...names.map((name, i) => button(name, () => showChannel(i), { "data-channel": i, title: `Channel ${i + 1} (${i + 1})` })),
      ...(side ? [button("All", () => showChannel("all"), { "data-channel": "all", title: "All channels side by side (0)" })] : []),
    );
    open.channels.hidden = names.length < 2;
    return await showChannel(wanted);
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
  else if (event.key.toLowerCase() === "w") open.tools.reset();
  else if (event.key.toLowerCase() === "s") standsFor(open.row);
  else if (event.key.toLowerCase() === "d") open.overlay.flip();
  else if (open.zoom.onKey(event.key.toLowerCase())) return true;
  else if (event.key === "0" && open.facts) showChannel("all");
  else if (/^[1-9]$/.test(event.key) && open.facts?.channels[Number(event.key) - 1]) showChannel(Number(event.key) - 1);
  else return false;
  return true;
};

export const view = (row, choose) => {
  if (row === null || open) return;
  const stage = element("div", { class: "stage", tabindex: "0", autofocus: true, role: "group", "aria-label": "Slices; the wheel, ↑ and ↓ go through them, dragging with the left button sets the window, Ctrl and the wheel or + and - zoom, dragging with the right button moves the slice" });
  const tools = windowTools(() => open?.reader?.draw());
  const zoom = zoomTools((factor) => open?.reader?.zoomBy(factor));
  const overlay = overlayTools((facts) => open?.reader?.lay(facts));
  const shape = element(
    "select",
    { "aria-label": "Layout", onchange: () => ((layout = shape.value), open.reader?.setLayout(...layout.split(" "))) },
    ...Object.entries(LAYOUTS).map(([value, text]) => element("option", { value, text })),
  );
  shape.value = layout;
  const picks = element("nav", { class: "strip", "aria-label": "Picks" });
  const side = element("div", { class: "side-text" });
  const channels = element("div", { class: "chips channels", role: "group", "aria-label": "Channels" });
  const previous = button("‹ Previous", () => go(-1), { "aria-keyshortcuts": "ArrowLeft" });
  const next = button("Next ›", () => go(1), { "aria-keyshortcuts": "ArrowRight" });
  const position = element("span", { class: "quiet", role: "status" });
  const info = element("span", { class: "quiet small" });
  const box = dialog(
    nameOf(row),
    { class: "viewer" },
    element("div", { class: "viewer-tools" }, channels, tools.box, zoom.box, overlay.box, shape),
    overlay.legend,
    element("div", { class: "viewer-body" }, stage, side),
    picks,
    element("div", { class: "viewer-foot" }, info, element("div", { class: "ends" }, position, previous, next)),
  );
  open = { box, stage, side, tools, zoom, overlay, layout: shape, strip: picks, channels, previous, next, position, info, choose, row, reader: null };
  box.addEventListener("close", () => {
    const { reader } = open;
    open.overlay.stop();
    open = null;
    reader?.stop();
  });
  show(row);
};

// A veto or a replacement puts another scan at the same rank: look at that one.
listen((changed) => {
  if (!open || !changed.has("state")) return;
  if (changed.has("focus") && store.focus !== open.row && store.focus !== null) show(store.focus);
  else describe();
});

