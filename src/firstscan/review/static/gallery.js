// All scans as small pictures. Only the tiles in sight are in the page, so that thousands cost no more than sixty.

import { grouped, ordered, SORTS } from "./arrange.js";
import { byId, count, element, toast } from "./dom.js";
import { badge, swatch } from "./list.js";
import { DISTANCE, coverage, measure, measures, told } from "./measures.js";
import {
  change, closedOf, isAccepted, isPinned, matches, nameOf, passedOf, pickOf, standing, store, stratumOf, vetoOf,
} from "./store.js";
import { thumbnail } from "./thumbs.js";

const TILE = { width: 116, height: 144, least: 92 };
const HEAD_PX = 34;
const BEYOND_PX = 300;
const SIDE_PX = 12;
const box = byId("gallery");
const inner = element("div", { class: "tiles", role: "presentation" });
const group = byId("group");
const sort = byId("sort");
const turn = byId("turn");
box.append(inner);
let opener = () => {};
let descending = true;
let lines = []; // from the top: {top, words, n} or {top, rows}
let places = new Map(); // row → [line, column]
let columns = 1;
let width = TILE.width;
let height = 0;

export const isShown = () => !byId("gallery-view").hidden;

const lay = () => {
  const space = box.clientWidth - 2 * SIDE_PX;
  columns = Math.max(space < 320 ? 3 : 2, Math.floor(space / TILE.width));
  width = Math.max(TILE.least, Math.floor(space / columns));
  lines = [];
  places = new Map();
  let top = 0;
  const rows = store.pool.ids.map((_, row) => row).filter(matches);
  for (const { words, rows: members } of grouped(ordered(rows, sort.value, descending), group.value)) {
    if (words) {
      lines.push({ top, words, n: members.length });
      top += HEAD_PX;
    }
    for (let i = 0; i < members.length; i += columns) {
      const line = { top, rows: members.slice(i, i + columns), group: words };
      line.rows.forEach((row, column) => places.set(row, [lines.length, column]));
      lines.push(line);
      top += TILE.height;
    }
  }
  height = top;
};

const said = (row) => {
  const by = measure(sort.value);
  const value = by?.values()[row];
  if (by?.kind === "number") return `${by.id === DISTANCE ? "distance" : by.name.toLowerCase()} ${told(value)}`;
  return standing(row) || (stratumOf(row) === null ? "" : `stratum ${stratumOf(row)}`);
};

const marksOf = (row) => {
  const pick = pickOf(row);
  const gone = vetoOf(row) !== undefined || passedOf(row) !== undefined || closedOf(row);
  return [
    pick && badge(pick),
    isPinned(row) ? element("span", { class: "mark", text: "◆" }) : isAccepted(row) ? element("span", { class: "mark good", text: "✓" }) : gone && element("span", { class: "mark bad", text: "✕" }),
  ];
};

const tile = (row, line, column) => {
  const pick = pickOf(row);
  const words = [pick && `pick ${pick.rank}`, standing(row), said(row), line.group].filter(Boolean).join(", ");
  return element(
    "div",
    {
      class: `tile${vetoOf(row) !== undefined || passedOf(row) !== undefined || closedOf(row) ? " gone" : ""}`, id: `tile-${row}`, role: "option",
      "aria-selected": String(row === store.focus), "aria-label": `${nameOf(row)}, ${words}`, title: `${nameOf(row)}\n${words}`,
      style: { top: `${line.top}px`, left: `${column * width}px`, width: `${width}px`, height: `${TILE.height}px` },
      onclick: () => (box.focus({ preventScroll: true }), change({ focus: row })), ondblclick: () => opener(row),
      onpointerenter: () => change({ hover: row }), onpointerleave: () => change({ hover: null }),
    },
    store.pool.pictures ? thumbnail(row, { width: 100, height: 100 }) : element("div", { class: "thumb plain" }, ...swatch(stratumOf(row))),
    element("div", { class: "id clip", text: nameOf(row) }),
    element("div", { class: "quiet small clip", text: said(row) }),
    element("div", { class: "tile-marks" }, ...marksOf(row)),
  );
};

// What is in the page now, by a name of its place; a tile that stays in sight is not made again.
let built = new Map();

const head = (line) =>
  element("div", { class: "tiles-head", "aria-hidden": "true", style: { top: `${line.top}px` } }, element("strong", { text: line.words }), element("span", { class: "quiet", text: count(line.n, "scan") }));

const draw = () => {
  if (!isShown()) return;
  inner.style.setProperty("height", `${height}px`);
  const [from, to] = [box.scrollTop - BEYOND_PX, box.scrollTop + box.clientHeight + BEYOND_PX];
  const now = new Map();
  const put = (name, make) => now.set(name, built.get(name) ?? make());
  if (!lines.length) put("none", () => element("p", { class: "quiet empty", text: "No scan fits the filter or lies in the lasso." }));
  for (const line of lines) {
    if (line.top + TILE.height <= from || line.top >= to) continue;
    if (line.rows) line.rows.forEach((row, column) => put(row, () => tile(row, line, column)));
    else put(line.words, () => head(line));
  }
  for (const [name, shown] of built) if (!now.has(name)) shown.remove();
  inner.append(...[...now].filter(([name]) => !built.has(name)).map(([, made]) => made));
  built = now;
  mark();
};

const mark = () => {
  for (const shown of inner.querySelectorAll(".tile")) {
    const row = Number(shown.id.slice(5));
    shown.classList.toggle("focus", row === store.focus);
    shown.setAttribute("aria-selected", String(row === store.focus));
  }
  if (store.focus !== null && byId(`tile-${store.focus}`)) box.setAttribute("aria-activedescendant", `tile-${store.focus}`);
  else box.removeAttribute("aria-activedescendant");
};

const reveal = () => {
  const place = places.get(store.focus);
  if (!place) return;
  const { top } = lines[place[0]];
  const head = lines[place[0] - 1]?.words ? HEAD_PX : 0;
  if (top - head < box.scrollTop) box.scrollTop = top - head;
  else if (top + TILE.height > box.scrollTop + box.clientHeight) box.scrollTop = top + TILE.height - box.clientHeight;
};

export const refresh = () => {
  if (!isShown()) return;
  lay();
  inner.replaceChildren();
  built = new Map();
  draw();
};

// Go to another tile; ``down`` in lines, ``across`` in the order of the scans.
export const step = (across, down) => {
  const at = places.get(store.focus);
  const flat = lines.filter((line) => line.rows);
  if (!flat.length) return;
  if (!at) return change({ focus: flat[0].rows[0] });
  if (across) {
    const all = flat.flatMap((line) => line.rows);
    const next = all.indexOf(store.focus) + across;
    return change({ focus: all[Math.min(all.length - 1, Math.max(0, next))] });
  }
  const line = flat.indexOf(lines[at[0]]) + down;
  const { rows } = flat[Math.min(flat.length - 1, Math.max(0, line))];
  return change({ focus: rows[Math.min(rows.length - 1, at[1])] });
};

// How many lines are in sight.
export const page = () => Math.max(1, Math.floor(box.clientHeight / TILE.height));

const arrange = async () => {
  if ([sort.value, group.value].includes(DISTANCE)) await coverage().catch((error) => toast(error.message, { bad: true }));
  box.scrollTop = 0;
  refresh();
};

export const show = () => {
  refresh();
  reveal();
  draw();
  arrangeIfStale();
};

const arrangeIfStale = () => {
  if (isShown() && [sort.value, group.value].includes(DISTANCE)) coverage().then(refresh, () => {});
};

const drawTurn = () => {
  turn.textContent = descending ? "↓" : "↑";
  turn.setAttribute("aria-label", descending ? "Highest first; turn the order" : "Lowest first; turn the order");
};

export const start = (open) => {
  opener = open;
  group.append(element("option", { value: "", text: "Nothing" }), ...measures().map((each) => element("option", { value: each.id, text: each.name })));
  sort.append(...SORTS.filter(({ id }) => id !== "uncertainty" || store.pool.uncertainty).map(({ id, name }) => element("option", { value: id, text: name })));
  group.addEventListener("change", arrange);
  sort.addEventListener("change", () => {
    descending = !["name", "rank"].includes(sort.value);
    drawTurn();
    arrange();
  });
  turn.addEventListener("click", () => ((descending = !descending), drawTurn(), arrange()));
  drawTurn();
  box.addEventListener("scroll", () => requestAnimationFrame(draw));
  new ResizeObserver(refresh).observe(box);
};

export const onChange = (changed) => {
  if (!isShown()) return;
  if (["state", "preview", "matching", "inside", "coverage"].some((name) => changed.has(name))) refresh();
  if (changed.has("state")) arrangeIfStale();
  if (changed.has("focus")) {
    reveal();
    draw();
  }
};
