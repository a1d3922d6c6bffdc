// Strategies side by side: the same map, the picks of each, and how many they share with the batch.

import { useStrategy } from "./actions.js";
import { get } from "./api.js";
import { dialog } from "./dialogs.js";
import { button, element } from "./dom.js";
import { Plot } from "./plot.js";
import { mapShape } from "./shapes.js";
import { nameOf, store } from "./store.js";

const FIRST = ["cscs", "random", "kcenter", "typiclust"];
const AT_FIRST = 3;

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

const average = (picks, signal) => Math.round(mean(picks.map((p) => signal.percentile[p.row])));

const averages = (picks) => {
  const { typicality: t, uncertainty: u } = store.pool;
  return `typicality ${average(picks, t)}${u ? `, uncertainty ${average(picks, u)}` : ""} on average`;
};

const named = (rows) => rows.map((row) => nameOf(row)).join(", ");

// Which scans would come into the batch, and which would leave it.
const differences = (found) => {
  const own = store.state.picks.map((p) => p.row);
  const theirs = found.picks.map((p) => p.row);
  const [come, go] = [theirs.filter((row) => !own.includes(row)), own.filter((row) => !theirs.includes(row))];
  if (!come.length && !go.length) return element("p", { class: "small", text: "The same scans." });
  const row = (sign, words, rows) => rows.length && element("div", {}, element("dt", { text: `${sign} ${rows.length} ${words}` }), element("dd", { class: "id", text: named(rows) }));
  return element("dl", { class: "differences small", tabindex: "0", "aria-label": "Scans that differ" }, row("+", "come in", come), row("−", "go out", go));
};

const draw = (box, found, name) => {
  const plot = new Plot(box, mapShape(store.pool, { still: true, small: true, padding: [14, 14, 12, 12], alternative: `Picks of ${name} on the map` }));
  plot.batch = found;
  plot.draw();
};

const present = () => {
  const { state } = store;
  const map = element("div", { class: "plot small-plot" });
  const made = element(
    "figure",
    { class: "panel present" },
    element("figcaption", {}, element("h3", { text: "The batch now" })),
    element("p", { class: "small clip", text: `by ${state.strategy}, with what was done since` }),
    map,
    element("p", { class: "quiet small", text: averages(state.picks) }),
  );
  return { made, fill: () => draw(map, state, "the batch now") };
};

const panel = (name, box) => {
  const map = element("div", { class: "plot small-plot" });
  const said = element("p", { class: "quiet small", text: "Choosing …" });
  const use = button("Use this", () => (box.close(), useStrategy(name)), { disabled: true, "aria-label": `Use the batch of ${name}` });
  const made = element(
    "figure",
    { class: "panel" },
    element("figcaption", {}, element("h3", { text: name }), use),
    element("p", { class: "small clip", text: store.pool.strategies[name], title: store.pool.strategies[name] }),
    map,
    said,
  );
  const fill = async () => {
    try {
      const found = await get("try", { budget: store.state.budget, strategy: name });
      const own = new Set(store.state.picks.map((p) => p.row));
      const shared = found.picks.filter((p) => own.has(p.row)).length;
      said.textContent = `${shared} of ${found.budget} shared with the batch; ${averages(found.picks)}`;
      use.disabled = shared === found.budget;
      said.after(differences(found));
      draw(map, found, name);
    } catch (error) {
      said.textContent = error.message;
      said.classList.add("wrong");
    }
  };
  return { made, fill };
};

export const compare = () => {
  const names = Object.keys(store.pool.strategies);
  const wanted = new Set(FIRST.filter((n) => names.includes(n) && n !== store.state.strategy).slice(0, AT_FIRST));
  const grid = element("div", { class: "grid" });
  let queue = Promise.resolve();
  const show = (name) => {
    const { made, fill } = panel(name, box);
    made.dataset.strategy = name;
    grid.append(made);
    queue = queue.then(() => box.open && made.isConnected && fill());
  };
  const toggle = (name, on) => {
    if (on) show(name);
    else grid.querySelector(`[data-strategy="${CSS.escape(name)}"]`)?.remove();
  };
  const choices = names.map((name) =>
    element("label", { class: "chip" }, element("input", { type: "checkbox", checked: wanted.has(name), onchange: (event) => toggle(name, event.target.checked) }), name),
  );
  const box = dialog(
    `Strategies side by side, ${store.state.budget} scans each`,
    { class: "wide-dialog" },
    element("div", { class: "chips", role: "group", "aria-label": "Strategies" }, ...choices),
    element("p", { class: "quiet small", text: "Each under the same wishes: accepted and pinned scans are in, vetoed ones are out. Averages are percentiles of the pool." }),
    grid,
  );
  const now = present();
  grid.append(now.made);
  now.fill();
  for (const name of wanted) show(name);
};
