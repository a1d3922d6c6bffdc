// The page: it reads the pool and the state once, then follows what the person does.

import * as actions from "./actions.js";
import { first } from "./api.js";
import { standsFor } from "./alike.js";
import { compare } from "./compare.js";
import * as connection from "./connection.js";
import * as controls from "./controls.js";
import * as detail from "./detail.js";
import { help, isOpen, showLog } from "./dialogs.js";
import { byId, element, toast } from "./dom.js";
import * as filter from "./filter.js";
import { handOver } from "./handing.js";
import * as list from "./list.js";
import { Plot, describe, mapShape, planeShape } from "./plot.js";
import { change, listen, nameOf, pickOf, standing, store } from "./store.js";
import { isViewing, view, viewerKey } from "./viewer.js";

const HINTS = [["↑↓", "scan"], ["Enter", "look"], ["A", "accept"], ["V", "veto"], ["R", "replace"], ["P", "pin"], ["U", "undo"], ["S", "stands for"], ["C", "compare"], ["E", "export"], ["O", "hand over"], ["?", "help"]];

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
    element("strong", { text: `${pick ? `${pick.rank}. ` : ""}${nameOf(row)}` }),
    element("div", { class: "small", text: [describe(row), standing(row)].filter(Boolean).join(" · ") }),
  );
  const { width, height } = box.getBoundingClientRect();
  box.style.setProperty("left", `${Math.min(event.clientX + 14, window.innerWidth - width - 8)}px`);
  box.style.setProperty("top", `${event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`);
};

const KEYS = {
  ArrowDown: () => list.step(1), ArrowUp: () => list.step(-1), PageDown: () => list.step(10), PageUp: () => list.step(-10),
  Home: () => list.step(-1e9), End: () => list.step(1e9), Enter: () => open(store.focus),
  a: () => actions.accept(store.focus), v: () => actions.veto(store.focus), r: () => actions.replace(store.focus),
  p: () => actions.pin(store.focus), u: () => actions.undo(), e: () => controls.exported(), o: () => handOver(), s: () => standsFor(store.focus), c: () => compare(), l: () => showLog(),
  h: () => help(), "?": () => help(), "[": () => list.stepTab(-1), "]": () => list.stepTab(1),
  "+": () => controls.nudge(1), "=": () => controls.nudge(1), "-": () => controls.nudge(-1),
  "/": () => byId("search").focus(), Escape: () => filter.clear(),
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
    list.stepTab(name === "ArrowRight" ? 1 : -1);
    document.querySelector("[role=tab][aria-selected=true]").focus();
    event.preventDefault();
    return;
  }
  if (!KEYS[name]) return;
  event.preventDefault();
  KEYS[name]();
};

const start = async () => {
  byId("keys").append(...HINTS.map(([k, words]) => element("span", {}, element("kbd", { text: k }), words)));
  const [pool, state] = await Promise.all([first("pool"), first("state")]);
  store.pool = pool;
  const handlers = { open, point: tip };
  const panel = byId("detail");
  listen(list.onChange);
  listen((changed) => {
    if (["state", "preview", "focus"].some((name) => changed.has(name))) detail.draw(panel, open);
    if (changed.has("state") || changed.has("preview")) controls.draw();
  });
  document.title = `${pool.name} – firstscan review`;
  change({ state, focus: state.picks[0]?.row ?? null });
  byId("map-caption").textContent = pool.map_caption.split(". ")[0].concat(".");
  byId("map-caption").title = pool.map_caption;
  const plots = [new Plot(byId("map"), mapShape(pool), handlers)];
  if (pool.uncertainty) plots.push(new Plot(byId("plane"), planeShape(pool), handlers));
  else byId("plane").closest("figure").remove();
  listen((changed) => {
    if (["state", "preview", "matching"].some((name) => changed.has(name))) plots.forEach((plot) => plot.draw());
    else if (changed.has("focus") || changed.has("hover")) plots.forEach((plot) => plot.drawOver());
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach((plot) => plot.draw()));
  filter.start();
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
