// The list of scans: only the rows in sight are in the page, so that thousands cost no more than twenty.

import { address } from "./api.js";
import { byId, element } from "./dom.js";
import { styleOf } from "./marks.js";
import { describe } from "./shapes.js";
import {
  batch, change, isAccepted, isPinned, matches, nameOf, pickOf, standing, store, stratumOf, vetoOf, passedOf,
} from "./store.js";

const HEIGHTS = { batch: 62, all: 44, vetoed: 44 };
const list = byId("list");
const inner = element("div", { class: "rows", role: "presentation" });
list.append(inner);
let tab = "batch";
let rows = [];
let lookups = new Map();
let opener = () => {};

const wanted = () => {
  if (tab === "batch") return batch().picks.map((p) => p.row);
  const every = store.pool.ids.map((_, row) => row);
  return tab === "all" ? every : every.filter((row) => vetoOf(row) !== undefined || passedOf(row) !== undefined);
};

export const swatch = (stratum, word = "") => {
  const { colour, symbol } = styleOf(stratum);
  return [element("span", { class: `swatch ${symbol}`, style: { "--swatch": colour } }), word];
};

export const badge = (pick) =>
  element("span", { class: "badge", text: pick.rank, style: { "--swatch": styleOf(pick.stratum).colour } });

const chips = (row) => {
  const kept = new Set((store.state?.picks ?? []).map((p) => p.row));
  return [
    store.preview && pickOf(row) && !kept.has(row) && element("span", { class: "tag accent", text: "new" }),
    isAccepted(row) && element("span", { class: "tag good", text: "✓ accepted" }),
    isPinned(row) && element("span", { class: "tag", text: "◆ pinned" }),
    store.pool.findings[row] && element("span", { class: "tag caution", text: "warning" }),
  ];
};

const batchRow = (row, pick) => [
  badge(pick),
  store.pool.pictures &&
    element("img", { src: address("picture", { case: nameOf(row) }), alt: "", width: 46, height: 46, loading: "lazy", decoding: "async" }),
  element(
    "div",
    { class: "words" },
    element("div", { class: "first" }, element("span", { class: "id", text: nameOf(row) }), ...chips(row)),
    element("div", { class: "quiet small clip", text: pick.reason }),
  ),
];

const poolRow = (row) => {
  const pick = pickOf(row);
  const said = standing(row);
  const text = pick ? `pick ${pick.rank}${said ? `, ${said}` : ""}` : said || describe(row);
  return [
    element("span", { class: "dot" }, ...swatch(stratumOf(row))),
    element(
      "div",
      { class: "words" },
      element("div", { class: "first" }, element("span", { class: "id", text: nameOf(row) })),
      element("div", { class: "quiet small clip", text }),
    ),
  ];
};

const made = (row, at) => {
  const pick = pickOf(row);
  return element(
    "div",
    {
      class: `row ${tab}${row === store.focus ? " focus" : ""}${row === store.hover ? " hover" : ""}`,
      id: `row-${row}`, role: "option", "aria-selected": String(row === store.focus),
      "aria-setsize": rows.length, "aria-posinset": at + 1, style: { top: `${at * HEIGHTS[tab]}px`, height: `${HEIGHTS[tab]}px` },
      onclick: () => change({ focus: row }),
      ondblclick: () => opener(row),
      onpointerenter: () => change({ hover: row }),
      onpointerleave: () => change({ hover: null }),
    },
    ...(tab === "batch" && pick ? batchRow(row, pick) : poolRow(row)),
  );
};

const draw = () => {
  const height = HEIGHTS[tab];
  inner.style.setProperty("height", `${rows.length * height}px`);
  const first = Math.max(0, Math.floor(list.scrollTop / height) - 4);
  const last = Math.min(rows.length, Math.ceil((list.scrollTop + list.clientHeight) / height) + 4);
  if (!rows.length) inner.replaceChildren(element("p", { class: "quiet empty", text: emptiness() }));
  else inner.replaceChildren(...rows.slice(first, last).map((row, i) => made(row, first + i)));
  mark();
};

const emptiness = () => {
  if (tab === "vetoed" && store.matching === null && store.inside === null) return "No scan is vetoed. V vetoes the scan in focus.";
  return "No scan here fits the filter or lies in the lasso.";
};

// Marks only, without building rows again: this runs at every move of the pointer.
const mark = () => {
  for (const shown of inner.children) {
    const row = Number(shown.id.slice(4));
    shown.classList.toggle("focus", row === store.focus);
    shown.classList.toggle("hover", row === store.hover);
    shown.setAttribute("aria-selected", String(row === store.focus));
  }
  if (store.focus !== null && byId(`row-${store.focus}`)) list.setAttribute("aria-activedescendant", `row-${store.focus}`);
  else list.removeAttribute("aria-activedescendant");
};

const reveal = () => {
  const at = lookups.get(store.focus);
  if (at === undefined) return;
  const height = HEIGHTS[tab];
  if (at * height < list.scrollTop) list.scrollTop = at * height;
  else if ((at + 1) * height > list.scrollTop + list.clientHeight) list.scrollTop = (at + 1) * height - list.clientHeight;
};

export const refresh = () => {
  rows = wanted().filter(matches);
  lookups = new Map(rows.map((row, at) => [row, at]));
  byId("tab-batch").textContent = `Batch ${batch().picks.length}`;
  byId("tab-all").textContent = `All ${store.pool.ids.length.toLocaleString("en")}`;
  byId("tab-vetoed").textContent = `Vetoed ${Object.keys(store.state.vetoed).length + Object.keys(store.state.passed).length}`;
  draw();
};

export const showTab = (name) => {
  tab = name;
  for (const each of ["batch", "all", "vetoed"]) {
    byId(`tab-${each}`).setAttribute("aria-selected", String(each === name));
    byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
  }
  list.setAttribute("aria-label", { batch: "Batch", all: "All scans", vetoed: "Vetoed scans" }[name]);
  list.scrollTop = 0;
  refresh();
  reveal();
  draw();
};

// Go ``by`` rows down (or up) from the scan in focus.
export const step = (by) => {
  if (!rows.length) return;
  const at = lookups.get(store.focus);
  const next = at === undefined ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  change({ focus: rows[next] });
  reveal();
  draw();
};

export const stepTab = (by) => {
  const names = ["batch", "all", "vetoed"];
  showTab(names[(names.indexOf(tab) + by + 3) % 3]);
};

export const onChange = (changed) => {
  if (changed.has("state") || changed.has("preview") || changed.has("matching") || changed.has("inside")) refresh();
  if (changed.has("focus")) {
    reveal();
    draw();
  } else if (changed.has("hover")) mark();
};

export const start = (open) => {
  opener = open;
  for (const name of ["batch", "all", "vetoed"]) byId(`tab-${name}`).addEventListener("click", () => showTab(name));
  list.addEventListener("scroll", () => requestAnimationFrame(draw));
  new ResizeObserver(draw).observe(list);
};
