// The pool in two views, maps and gallery, with what belongs to both: the lasso, and the scan farthest from the picks.

import { byId, count, toast } from "./dom.js";
import * as gallery from "./gallery.js";
import { coverage, told } from "./measures.js";
import { change, closedOf, listen, nameOf, passedOf, pickOf, store, vetoOf } from "./store.js";

const VIEWS = ["maps", "gallery"];

export const show = (name) => {
  for (const each of VIEWS) {
    byId(`${each}-view`).hidden = each !== name;
    byId(`${each}-tools`).hidden = each !== name;
    byId(`tab-${each}`).setAttribute("aria-selected", String(each === name));
    byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
  }
  if (name === "gallery") {
    gallery.show();
    byId("gallery").focus({ preventScroll: true });
  } else if (document.activeElement === document.body) byId("list").focus({ preventScroll: true });
};

export const turn = () => show(gallery.isShown() ? "maps" : "gallery");

// ``rows`` inside a lasso, null where it was given up.
export const enclose = (rows) => {
  setLasso(false);
  if (rows === null) return;
  if (!rows.length) {
    toast("No scan lies inside of the lasso.");
    return;
  }
  change({ inside: new Set(rows) });
  show("gallery");
};

const setLasso = (on) => {
  store.lassoing = on;
  byId("lasso").setAttribute("aria-pressed", String(on));
};

// The scan that the picks stand for least, of those that may be picked.
export const farthest = async () => {
  try {
    const { distance, nearest } = await coverage();
    const open = store.pool.ids.map((_, row) => row).filter((row) => !pickOf(row) && vetoOf(row) === undefined && passedOf(row) === undefined && !closedOf(row));
    if (!open.length) return toast("Every scan is in the batch, or cannot be picked.");
    const row = open.reduce((best, each) => (distance[each] > distance[best] ? each : best));
    const middle = distance.filter((_, each) => !pickOf(each)).sort((a, b) => a - b);
    const median = middle[Math.floor(middle.length / 2)];
    change({ focus: row });
    return toast(`${nameOf(row)} is the farthest from any pick: ${told(distance[row])} to ${nameOf(nearest[row])}; the median is ${told(median)}. P puts it into the batch.`);
  } catch (error) {
    return toast(error.message, { bad: true });
  }
};

const drawChip = () => {
  const chip = byId("enclosed");
  chip.hidden = store.inside === null;
  chip.textContent = store.inside === null ? "" : `${count(store.inside.size, "scan")} in the lasso ✕`;
  if (store.inside !== null) chip.setAttribute("aria-label", `${count(store.inside.size, "scan")} in the lasso; show all again`);
};

export const start = (open) => {
  for (const name of VIEWS) byId(`tab-${name}`).addEventListener("click", () => show(name));
  byId("lasso").addEventListener("click", () => setLasso(!store.lassoing));
  byId("farthest").addEventListener("click", farthest);
  byId("enclosed").addEventListener("click", () => change({ inside: null }));
  gallery.start(open);
  listen(gallery.onChange);
  listen((changed) => changed.has("inside") && drawChip());
};

// Escape takes back the latest of these; false where nothing was left to take back.
export const back = () => {
  if (store.lassoing) setLasso(false);
  else if (gallery.isShown()) show("maps");
  else return false;
  return true;
};
