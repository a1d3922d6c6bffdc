// What a pick stands for: its nearest unpicked scans and its substitute, at the same slice and window, locked together.

import { address, get } from "./api.js";
import { dialog } from "./dialogs.js";
import { button, element, toast } from "./dom.js";
import { PLANES, leftDrag, marks, paced } from "./frames.js";
import { nameOf, pickOf, store } from "./store.js";
import { dragged, sharesOf, windowOf, windowTools } from "./windows.js";

// Pictures of a scan's three planes with letters, as the report shows them.
export const planesOf = (row) =>
  PLANES.map((plane) =>
    element("span", { class: "frame" }, element("img", { src: address("picture", { case: nameOf(row), plane }), alt: `${plane} plane`, width: 160, height: 160 }), marks(plane, false).box),
  );

export const alikeTo = (row) => get("alike", { case: nameOf(row) });

const wordsFor = (told) => {
  const twice = told.nearest.find((near) => near.row === told.substitute);
  return [
    { row: told.row, role: pickOf(told.row) ? `pick ${pickOf(told.row).rank}` : "this scan" },
    ...(told.substitute === null ? [] : [{ row: told.substitute, role: `substitute, from the ${told.from}`, distance: twice?.distance }]),
    ...told.nearest.filter((near) => near !== twice).map((near) => ({ ...near, role: "near" })),
  ];
};

const said = (told) => {
  const near = told.nearest.length;
  const away = near ? ` Distances in the embedding; the median of the pool is ${told.median}.` : "";
  const substitute = told.substitute === null ? (pickOf(told.row) ? ` No substitute: ${told.why}.` : "") : "";
  return `${near ? `The ${near} nearest scans that are not in the batch` : "No scan outside of the batch is left"}.${away}${substitute} All are shown at the same share of the way through each scan.`;
};

const tile = ({ row, role, distance }) => {
  const image = element("img", { alt: "", draggable: "false" });
  const frame = element("div", { class: "frame" }, image);
  const figure = element(
    "figure",
    { class: "alike" },
    frame,
    element("figcaption", {}, element("span", { class: "id", text: nameOf(row) }), element("span", { class: "quiet small", text: distance === undefined ? role : `${role}, distance ${distance}` })),
  );
  return { row, image, frame, figure };
};

// The window is that of the first scan; each of the others takes the same share of its own.
const locked = (tiles, facts, tools) => {
  const channel = facts.channels[0];
  let plane = "axial";
  let place = 0.5;
  const request = paced(() => tiles.map((each) => each.image));
  const draw = () => {
    const [low, high] = sharesOf(channel);
    request(() => tiles.map((each) => address("slice", { case: nameOf(each.row), channel: 0, plane, place, low, high })));
  };
  const slider = element("input", { type: "range", min: 0, max: 1, step: 0.01, value: place, "aria-label": "Place of the slice", oninput: () => ((place = Number(slider.value)), draw()) });
  const turn = (next) => {
    plane = next;
    for (const each of tiles) {
      each.frame.querySelector(".marks")?.remove();
      each.frame.append(marks(plane, false).box);
      each.image.alt = `${plane} slice of ${nameOf(each.row)}`;
    }
    draw();
  };
  const which = element("select", { "aria-label": "Plane", onchange: () => turn(which.value) }, ...PLANES.map((name) => element("option", { value: name, text: name })));
  for (const { frame } of tiles) {
    let from;
    leftDrag(frame, { begin: () => ((from = windowOf(channel)), true), drag: (dx, dy) => (dragged(channel, from, dx, dy), tools.tell(), draw()) });
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      place = Math.min(1, Math.max(0, place - Math.sign(event.deltaY) * 0.02));
      slider.value = place;
      draw();
    }, { passive: false });
  }
  tools.fill([channel], facts.modality);
  turn(plane);
  return { controls: [which, slider], draw };
};

export const standsFor = async (row) => {
  if (row === null) return;
  if (!store.pool.pictures) {
    toast("These results hold features only, so there is no picture to compare. Results of firstscan select have pictures.");
    return;
  }
  const grid = element("div", { class: "alike-grid" });
  const text = element("p", { class: "quiet small", role: "status", text: "Looking for what is alike …" });
  const bar = element("div", { class: "viewer-tools" });
  const box = dialog(`${nameOf(row)} stands for these`, { class: "wide-dialog alike-dialog" }, text, bar, grid);
  try {
    const [told, facts] = await Promise.all([alikeTo(row), get("scan", { case: nameOf(row) })]);
    if (!box.open) return;
    text.textContent = facts.problem ?? said(told);
    if (facts.problem) return;
    const tiles = wordsFor(told).map(tile);
    grid.append(...tiles.map((each) => each.figure));
    let views = { draw: () => {} };
    const tools = windowTools(() => views.draw());
    views = locked(tiles, facts, tools);
    bar.append(...views.controls, tools.box);
  } catch (error) {
    text.textContent = error.message;
    text.classList.add("wrong");
  }
};

// What takes the place of a pick that goes, beside it; for the dialog that asks for the reason.
export const substitution = (row) => {
  const box = element("div", { class: "substitution", role: "status" }, element("p", { class: "quiet small", text: "Looking for the best substitute …" }));
  const shown = (each, title) => element("figure", {}, element("figcaption", { class: "small" }, element("span", { class: "quiet", text: title }), " ", element("span", { class: "id", text: nameOf(each) })), store.pool.pictures ? element("div", { class: "planes" }, ...planesOf(each)) : null);
  alikeTo(row).then(
    (told) =>
      told.substitute === null
        ? box.replaceChildren(element("p", { class: "small wrong", text: `${told.why[0].toUpperCase()}${told.why.slice(1)}.` }))
        : box.replaceChildren(shown(row, "Goes:"), shown(told.substitute, `Comes, from the ${told.from}:`)),
    (error) => box.replaceChildren(element("p", { class: "small wrong", text: error.message })),
  );
  return box;
};
