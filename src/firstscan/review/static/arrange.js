// How the scans of the gallery are put in groups and in order.

import { measure, range, told } from "./measures.js";
import { nameOf, pickOf } from "./store.js";

const FEW = 8;
const QUARTERS = [0, 0.25, 0.5, 0.75];

export const SORTS = [
  { id: "typicality", name: "Typicality" },
  { id: "uncertainty", name: "Uncertainty" },
  { id: "distance", name: "Distance to the nearest pick" },
  { id: "rank", name: "Rank" },
  { id: "name", name: "Name" },
];

const NAMES = new Intl.Collator("en", { numeric: true });

// What a scan is sorted by, null where it has none: those come last either way.
const sortValue = (sort) => {
  if (sort === "rank") return (row) => pickOf(row)?.rank ?? null;
  const values = measure(sort)?.values() ?? [];
  return (row) => values[row] ?? null;
};

export const ordered = (rows, sort, descending) => {
  const sign = descending ? -1 : 1;
  if (sort === "name") return [...rows].sort((a, b) => sign * NAMES.compare(nameOf(a), nameOf(b)));
  const value = sortValue(sort);
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return sign * (x - y) || a - b;
  });
};

// The quarters of numbers that are many, each with the words for it.
const quarters = (values) => {
  const known = values.filter((v) => v !== null && v !== undefined).sort((a, b) => a - b);
  const distinct = [...new Set(known)];
  if (distinct.length <= FEW) return distinct.map((v) => ({ from: v, words: told(v) }));
  const starts = [...new Set(QUARTERS.map((share) => known[Math.floor(share * known.length)]))];
  const [, high] = range(known);
  return starts.map((from, i) => ({ from, words: `${told(from)} to ${i + 1 < starts.length ? `below ${told(starts[i + 1])}` : told(high)}` }));
};

const keyed = (by) => {
  const values = by.values();
  if (by.kind === "stratum") return (row) => (values[row] >= 0 ? [values[row], `Stratum ${values[row]}`] : [Infinity, "No stratum"]);
  if (by.kind !== "number") return (row) => [by.names[values[row]] ? values[row] : Infinity, `${by.name}: ${by.names[values[row]] || "not known"}`];
  const parts = quarters(values);
  return (row) => {
    const value = values[row];
    if (value === null || value === undefined) return [Infinity, `${by.name}: not known`];
    const at = Math.max(0, parts.findLastIndex((part) => value >= part.from));
    return [at, `${by.name}: ${parts[at].words}`];
  };
};

// Groups in order, each {words, rows}; one without words where nothing is to be grouped by.
export const grouped = (rows, id) => {
  const by = id && measure(id);
  if (!by) return [{ words: "", rows }];
  const key = keyed(by);
  const found = new Map();
  for (const row of rows) {
    const [at, words] = key(row);
    if (!found.has(at)) found.set(at, { at, words, rows: [] });
    found.get(at).rows.push(row);
  }
  return [...found.values()].sort((a, b) => a.at - b.at);
};
