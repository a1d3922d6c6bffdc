// How a scan looks wherever it is drawn: the report's colours and shapes by stratum.

import { store } from "./store.js";

export const styleOf = (stratum) => {
  const { colours, symbols, no_stratum: none } = store.pool;
  if (stratum === null || stratum < 0) return { colour: none, symbol: symbols[0] };
  return {
    colour: colours[stratum % colours.length],
    symbol: symbols[Math.floor(stratum / colours.length) % symbols.length],
  };
};

const corners = (path, x, y, r, points) => {
  points.forEach(([dx, dy], i) => (i ? path.lineTo(x + dx * r, y + dy * r) : path.moveTo(x + dx * r, y + dy * r)));
  path.closePath();
};
const around = (n, turn, inner = 1) =>
  [...Array(n).keys()].map((i) => {
    const angle = (2 * Math.PI * i) / n + turn;
    const r = i % 2 ? inner : 1;
    return [Math.cos(angle) * r * 1.1, Math.sin(angle) * r * 1.1];
  });
const third = 0.36;
const SHAPES = {
  square: [[-0.88, -0.88], [0.88, -0.88], [0.88, 0.88], [-0.88, 0.88]],
  diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
  "triangle-up": [[0, -1.15], [1.1, 0.85], [-1.1, 0.85]],
  "triangle-down": [[0, 1.15], [-1.1, -0.85], [1.1, -0.85]],
  cross: [
    [-third, -1.1], [third, -1.1], [third, -third], [1.1, -third], [1.1, third], [third, third],
    [third, 1.1], [-third, 1.1], [-third, third], [-1.1, third], [-1.1, -third], [-third, -third],
  ],
  pentagon: around(5, -Math.PI / 2),
  star: around(10, -Math.PI / 2, 0.45),
};

// Add one mark to a path.
export const addMark = (path, symbol, x, y, r) => {
  if (SHAPES[symbol]) corners(path, x, y, r, SHAPES[symbol]);
  else {
    path.moveTo(x + r, y);
    path.arc(x, y, r, 0, 2 * Math.PI);
  }
};

export const colours = () => {
  const css = getComputedStyle(document.documentElement);
  return (name) => css.getPropertyValue(`--${name}`).trim();
};
