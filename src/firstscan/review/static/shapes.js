// The two plots of the pool: where its scans lie, and what is said of one in a few words.

import { store, stratumOf } from "./store.js";

const bounds = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);

export const mapShape = (pool, more = {}) => {
  const [left, right] = bounds(pool.x);
  const [low, high] = bounds(pool.y);
  return {
    x: pool.x, y: pool.y, range: [left, right + 1e-6, low, high + 1e-6], equal: true, padding: [22, 22, 20, 20], axes: null,
    alternative: `Map of ${pool.ids.length} scans; the picks are marked and numbered by rank. The list holds the same.`,
    ...more,
  };
};

export const planeShape = (pool) => ({
  x: pool.typicality.percentile, y: pool.uncertainty.percentile, range: [-3, 103, -3, 103], equal: false,
  padding: [44, 12, 38, 8], coloured: "few",
  axes: { x: ["unusual", "typicality", "typical"], y: ["easy", "uncertainty", "hard"] },
  alternative: `Typicality against uncertainty of ${pool.ids.length} scans; the picks are marked. The list holds the same.`,
});

export const describe = (row) => {
  const { pool } = store;
  const stratum = stratumOf(row);
  const parts = stratum === null ? [] : [`stratum ${stratum}`];
  parts.push(`typicality ${Math.round(pool.typicality.percentile[row])}`);
  if (pool.uncertainty) parts.push(`uncertainty ${Math.round(pool.uncertainty.percentile[row])}`);
  return parts.join(" · ");
};
