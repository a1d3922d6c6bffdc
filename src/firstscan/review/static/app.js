// The page: it reads the pool and the state once, then follows what the person does.

import * as actions from "./actions.js";
import { first } from "./api.js";
import { standsFor } from "./alike.js";
import { compare } from "./compare.js";
import * as colouring from "./colouring.js";
import * as connection from "./connection.js";
import * as controls from "./controls.js";
import * as detail from "./detail.js";
import { help, isOpen, showLog } from "./dialogs.js";
import { byId, element, toast } from "./dom.js";
import * as filter from "./filter.js";
import { handOver } from "./handing.js";
import * as list from "./list.js";
import * as gallery from "./gallery.js";
import { Plot } from "./plot.js";
import * as pool from "./pool.js";
import { describe, mapShape, planeShape } from "./shapes.js";
import { change, listen, nameOf, pickOf, standing, store } from "./store.js";
import { thumbnail } from "./thumbs.js";
import { isViewing, view, viewerKey } from "./viewer.js";

const HINTS = [["↑↓", "scan"], ["Enter", "look"], ["A", "accept"], ["V", "veto"], ["R", "replace"], ["P", "pin"], ["U", "undo"], ["S", "stands for"], ["G", "gallery"], ["F", "farthest"], ["C", "compare"], ["E", "export"], ["O", "hand over"], ["?", "help"]];

const open = (row) => {
  change({ focus: row });
  view(row, (shown) => change({ focus: shown }));
};

const tip = (row, event) => {
  const box = byId("tip");
  box.hidden = row === null;
  if (row === null) return;
  const pick = pickOf(row);
  box.replaceChildren(
    store.pool.pictures ? thumbnail(row, { width: 128, height: 128 }) : "",
    element("strong", { text: `${pick ? `${pick.rank}. ` : ""}${nameOf(row)}` }),
    element("div", { class: "small", text: [describe(row), standing(row)].filter(Boolean).join(" · ") }),
  );
  const { width, height } = box.getBoundingClientRect();
  box.style.setProperty("left", `${Math.min(event.clientX + 14, window.innerWidth - width - 8)}px`);
  box.style.setProperty("top", `${event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`);
};

// Arrows go through the gallery where it is shown, unless the list has the focus.
const inGallery = () => gallery.isShown() && document.activeElement !== byId("list");
const go = (down, page = 1) => (inGallery() ? gallery.step(0, down * (page === 1 ? 1 : gallery.page())) : list.step(down * page));
const end = (by) => (inGallery() ? gallery.step(by, 0) : list.step(by));

const KEYS = {
  ArrowDown: () => go(1), ArrowUp: () => go(-1), PageDown: () => go(1, 10), PageUp: () => go(-1, 10),
  ArrowRight: () => inGallery() && gallery.step(1, 0), ArrowLeft: () => inGallery() && gallery.step(-1, 0),
  Home: () => end(-1e9), End: () => end(1e9), Enter: () => open(store.focus),
  a: () => actions.accept(store.focus), v: () => actions.veto(store.focus), r: () => actions.replace(store.focus),
  p: () => actions.pin(store.focus), u: () => actions.undo(), e: () => controls.exported(), o: () => handOver(), s: () => standsFor(store.focus), c: () => compare(), l: () => showLog(),
  h: () => help(), "?": () => help(), "[": () => list.stepTab(-1), "]": () => list.stepTab(1),
  "+": () => controls.nudge(1), "=": () => controls.nudge(1), "-": () => controls.nudge(-1),
  "/": () => byId("search").focus(), Escape: () => filter.clear() || pool.back(), g: () => pool.turn(), f: () => pool.farthest(),
};
const WHILE_VIEWING = new Set(["a", "v", "r", "p", "u"]);

const typing = (target) => target.matches?.("input:not([type=range]):not([type=checkbox]), select, textarea");

const onKey = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !event.key.startsWith("Arrow")) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (typing(event.target)) {
    if (name === "Escape" && !isOpen()) {
      filter.clear();
      byId("list").focus();
    } else if (name === "ArrowDown" && event.target.id === "search") byId("list").focus();
    return;
  }
  if (isOpen()) {
    if (!isViewing() || document.querySelectorAll("dialog[open]").length > 1) return;
    if (event.target.matches("input[type=range]") && name.startsWith("Arrow")) return;
    if (!viewerKey(event) && !WHILE_VIEWING.has(name)) return;
    event.preventDefault();
    event.stopPropagation(); // the viewer has keys of its own
    if (WHILE_VIEWING.has(name)) KEYS[name]();
    return;
  }
  if ((name === "Enter" || name === " ") && event.target.closest("button, a, [role=tab]")) return;
  if (name.startsWith("Arrow") && event.target.matches("input[type=range]")) return;
  if (event.target.matches("[role=tab]") && (name === "ArrowLeft" || name === "ArrowRight")) {
    const tabs = event.target.closest("[role=tablist]");
    if (tabs.closest(".pool")) pool.turn();
    else list.stepTab(name === "ArrowRight" ? 1 : -1);
    tabs.querySelector("[role=tab][aria-selected=true]").focus();
    event.preventDefault();
    return;
  }
  if (!KEYS[name]) return;
  event.preventDefault();
  KEYS[name]();
};

const start = async () => {
  byId("keys").append(...HINTS.map(([k, words]) => element("span", {}, element("kbd", { text: k }), words)));
  const [all, state] = await Promise.all([first("pool"), first("state")]);
  store.pool = all;
  const handlers = { open, point: tip, lasso: pool.enclose };
  const panel = byId("detail");
  listen(list.onChange);
  listen((changed) => {
    if (["state", "preview", "focus"].some((name) => changed.has(name))) detail.draw(panel, open);
    if (changed.has("state") || changed.has("preview")) controls.draw();
  });
  document.title = `${all.name} – firstscan review`;
  change({ state, focus: state.picks[0]?.row ?? null });
  byId("map-caption").textContent = all.map_caption.split(". ")[0].concat(".");
  byId("map-caption").title = all.map_caption;
  const plots = [new Plot(byId("map"), mapShape(all), handlers)];
  if (all.uncertainty) plots.push(new Plot(byId("plane"), planeShape(all), handlers));
  else byId("plane").closest("figure").remove();
  listen((changed) => {
    if (["state", "preview", "matching", "inside", "painted"].some((name) => changed.has(name))) plots.forEach((plot) => plot.draw());
    else if (changed.has("focus") || changed.has("hover")) plots.forEach((plot) => plot.drawOver());
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.draw()));
  colouring.start();
  filter.start();
  pool.start(open);
  controls.start();
  controls.draw();
  list.start(open);
  list.showTab("batch");
  byId("compare").addEventListener("click", compare);
  document.addEventListener("keydown", onKey, { capture: true });
  connection.start();
  byId("list").focus({ preventScroll: true });
  for (const note of state.notes) toast(`Note: ${note}.`);
  performance.mark("drawn");
};

start().catch((error) => toast(error.message, { bad: true }));
