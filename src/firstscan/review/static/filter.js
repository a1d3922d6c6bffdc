// Which scans are shown: by name, and by one of the columns that the pool has.

import { brush } from "./brush.js";
import { byId, element } from "./dom.js";
import { change, store } from "./store.js";

const column = byId("column");
const values = byId("column-values");
const search = byId("search");
let admits = () => true;

const chosen = () => (column.value === "" ? undefined : store.pool.columns[Number(column.value)]);

const apply = () => {
  const text = search.value.trim().toLowerCase();
  const any = text || column.value !== "";
  const rows = store.pool.ids.map((_, row) => row).filter((row) => store.pool.ids[row].toLowerCase().includes(text) && admits(row));
  byId("matches").textContent = any ? `${rows.length.toLocaleString("en")} of ${store.pool.ids.length.toLocaleString("en")} scans fit` : "";
  change({ matching: any ? new Set(rows) : null });
};

const byCategory = (facts) => {
  const boxes = facts.names.map((name) => element("input", { type: "checkbox", checked: true, onchange: () => apply() }));
  admits = (row) => boxes[facts.values[row]].checked;
  return facts.names.map((name, i) => element("label", {}, boxes[i], name || "(none)"));
};

const byNumber = (facts) => {
  const { box, admits: within } = brush(facts.name, facts.values, () => apply());
  admits = (row) => within(facts.values[row]);
  return [box];
};

const byText = (facts) => {
  const field = element("input", { type: "search", placeholder: `${facts.name} contains …`, "aria-label": `${facts.name} contains`, oninput: () => apply() });
  admits = (row) => facts.names[facts.values[row]].toLowerCase().includes(field.value.trim().toLowerCase());
  return [field];
};

const show = () => {
  const facts = chosen();
  admits = () => true;
  values.hidden = !facts;
  values.replaceChildren(...(facts ? { category: byCategory, number: byNumber, text: byText }[facts.kind](facts) : []));
  apply();
};

// Take off the filter and the lasso; false where there was neither.
export const clear = () => {
  const any = store.matching !== null || store.inside !== null;
  search.value = "";
  column.value = "";
  show();
  if (store.inside !== null) change({ inside: null });
  return any;
};

export const start = () => {
  column.append(...store.pool.columns.map((facts, i) => element("option", { value: i, text: facts.name })));
  column.hidden = !store.pool.columns.length;
  column.addEventListener("change", show);
  search.addEventListener("input", apply);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
};
