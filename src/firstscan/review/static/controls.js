// The bar at the top: the size of the batch, its strategy, undo and export.

import { perform, resize, undo, useStrategy } from "./actions.js";
import { get } from "./api.js";
import { askExport, help, showLog } from "./dialogs.js";
import { handOver } from "./handing.js";
import { busy, byId, count, element, toast } from "./dom.js";
import { change, store } from "./store.js";

const WAIT_MS = 60;
const REST_MS = 700;
const slider = byId("budget");
const number = byId("budget-number");
const strategy = byId("strategy");
let waiting = null;
let asking = false;
let timer;

// Show the batch of that size without choosing it; while one answer is awaited only the newest wish waits.
export const preview = (wish) => {
  waiting = wish;
  clearTimeout(timer);
  timer = setTimeout(ask, WAIT_MS);
};

const ask = async () => {
  if (asking || waiting === null) return;
  const wish = waiting;
  waiting = null;
  asking = true;
  try {
    const found = await get("try", wish);
    const here = Number(number.value) === found.budget;
    if (here && store.state.budget !== found.budget) change({ preview: found });
  } catch (error) {
    toast(error.message, { bad: true });
  } finally {
    asking = false;
    if (waiting !== null) ask();
  }
};

const settle = (value) => {
  waiting = null;
  clearTimeout(timer);
  clearTimeout(nudging);
  const { fewest, most } = store.state;
  const budget = Math.min(most, Math.max(fewest, Math.round(value) || store.state.budget));
  if (budget !== Math.round(value)) {
    const why = value < fewest ? `${count(fewest, "scan")} of it are accepted or pinned` : "that is all that can be picked";
    toast(`The batch can hold ${fewest} to ${most} scans: ${why}.`);
  }
  slider.value = number.value = budget;
  return resize(budget);
};

// A move of many steps, by keys or by the arrows of the number, is one action once it has come to rest.
let nudging;
const settleSoon = (value) => {
  clearTimeout(nudging);
  nudging = setTimeout(() => settle(value), REST_MS);
};

export const nudge = (by) => {
  const { fewest, most } = store.state;
  const budget = Math.min(most, Math.max(fewest, Number(number.value) + by));
  slider.max = Math.max(Number(slider.max), budget);
  slider.value = number.value = budget;
  preview({ budget, strategy: store.state.strategy });
  settleSoon(budget);
};

export const exported = () =>
  askExport(() => perform({ action: "export" }, (state) => `Exported: the report shows these ${count(state.budget, "scan")} now.`));

export const draw = () => {
  const { state, pool, preview: tried } = store;
  slider.min = state.fewest;
  slider.max = Math.min(state.most, Math.max(3 * state.budget, 30, Number(tried?.budget ?? 0)));
  number.min = state.fewest;
  number.max = state.most;
  if (!tried) slider.value = number.value = state.budget;
  for (const control of [slider, number, strategy]) control.disabled = false;
  strategy.value = state.strategy;
  byId("title").textContent = `${pool.name}: ${count((tried ?? state).budget, "scan")} of ${pool.ids.length.toLocaleString("en")}`;
  byId("undo").disabled = !state.undo;
  byId("undo").title = state.undo ? `Undo: ${state.undo} (U)` : "";
  if (byId("busy").textContent !== "Exporting …") byId("export").disabled = false;
  byId("export").textContent = state.changed ? "Export •" : "Export";
  byId("export").title = state.changed ? "selection.csv holds this batch; report.html still shows an earlier one (E)" : "selection.csv and report.html hold this batch (E)";
  const kept = new Set(state.picks.map((p) => p.row));
  const stay = tried ? tried.picks.filter((p) => kept.has(p.row)).length : 0;
  busy(tried ? `${stay} of ${state.budget} stay, ${tried.budget - stay} new` : "");
};

export const start = () => {
  strategy.append(...Object.entries(store.pool.strategies).map(([name, words]) => element("option", { value: name, text: name, title: words })));
  slider.addEventListener("input", () => {
    number.value = slider.value;
    preview({ budget: Number(slider.value), strategy: store.state.strategy });
  });
  let held = false;
  slider.addEventListener("pointerdown", () => (held = true));
  slider.addEventListener("pointerup", () => {
    held = false;
    byId("list").focus();
    settleSoon(Number(slider.value));
  });
  slider.addEventListener("change", () => !held && settleSoon(Number(slider.value)));
  number.addEventListener("change", () => {
    preview({ budget: Number(number.value) || store.state.budget, strategy: store.state.strategy });
    settleSoon(Number(number.value));
  });
  number.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    settle(Number(number.value));
    setTimeout(() => byId("list").focus());
  });
  strategy.addEventListener("change", async () => {
    busy(`Choosing by ${strategy.value} …`);
    byId("list").focus();
    await useStrategy(strategy.value);
    draw();
  });
  byId("undo").addEventListener("click", undo);
  byId("log").addEventListener("click", showLog);
  byId("help").addEventListener("click", help);
  byId("export").addEventListener("click", exported);
  byId("handoff").addEventListener("click", handOver);
};
