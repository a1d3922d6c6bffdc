// What scans can be grouped, sorted and coloured by: their signals, their distance to the picks, and every column.

import { get } from "./api.js";
import { batch, change, store } from "./store.js";

export const DISTANCE = "distance";

const SIGNALS = [
  { id: "typicality", name: "Typicality", kind: "number", unit: "percentile", values: () => store.pool.typicality.percentile },
  { id: "uncertainty", name: "Uncertainty", kind: "number", unit: "percentile", values: () => store.pool.uncertainty?.percentile },
  { id: DISTANCE, name: "Distance to the nearest pick", kind: "number", unit: "in the embedding", values: () => store.coverage?.distance ?? [] },
];
const STRATUM = { id: "stratum", name: "Stratum", kind: "stratum", values: () => batch().strata };

// Every measure of this pool; ``values()`` holds a number a row, of a category the number of its name.
export const measures = () => [
  STRATUM,
  ...SIGNALS.filter((each) => each.id !== "uncertainty" || store.pool.uncertainty),
  ...store.pool.columns.map((column, i) => ({ id: `column ${i}`, name: column.name, kind: column.kind, unit: "", names: column.names, values: () => column.values })),
];

export const measure = (id) => measures().find((each) => each.id === id);

export const told = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 }));

// The smallest and the largest of the numbers that are known; null where there are none.
export const range = (values) => {
  const known = values.filter((v) => v !== null && v !== undefined);
  return known.length ? known.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]) : null;
};

// Ask how far every scan is from the picks, unless that is known for the batch as it is.
let asking = null;
export const coverage = async () => {
  const { seq } = store.state;
  if (store.coverage?.seq === seq) return store.coverage;
  asking ??= get("coverage").finally(() => (asking = null));
  const found = await asking;
  if (store.coverage?.seq !== found.seq) change({ coverage: found });
  return found.seq === seq || found.seq > seq ? found : coverage();
};
