// The pointer on a plot: what lies under it, moving and zooming, and a lasso around scans.

import { change, matches, store } from "./store.js";

const LEAST_PX = 4;

const within = ([x, y], ring) => {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [[ax, ay], [bx, by]] = [ring[i], ring[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
};

// The rows inside a ring on the screen, of those that the filter admits.
export const enclosed = (plot, ring) => store.pool.ids.map((_, row) => row).filter((row) => matches(row) && within(plot.at(row), ring));

export const follow = (plot) => {
  const { over } = plot;
  const position = (event) => {
    const box = over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let from = null;
  over.addEventListener("pointerdown", (event) => {
    const at = position(event);
    const lasso = event.shiftKey || store.lassoing;
    from = { at, zoom: { ...plot.zoom }, moved: false, ring: lasso ? [at] : null };
    over.setPointerCapture(event.pointerId);
  });
  over.addEventListener("pointermove", (event) => {
    const [x, y] = position(event);
    if (from && Math.hypot(x - from.at[0], y - from.at[1]) > LEAST_PX) from.moved = true;
    if (from?.moved) plot.handlers.point?.(null);
    if (from?.ring) {
      from.ring.push([x, y]);
      plot.lasso = from.ring;
      plot.drawOver();
    } else if (from?.moved) {
      plot.zoom = { ...from.zoom, x: from.zoom.x + x - from.at[0], y: from.zoom.y + y - from.at[1] };
      plot.draw();
    } else {
      const row = plot.nearest(x, y);
      over.style.setProperty("cursor", store.lassoing ? "crosshair" : row === null ? "default" : "pointer");
      if (row !== store.hover) change({ hover: row });
      plot.handlers.point?.(row, event);
    }
  });
  const ended = (event) => {
    const done = from;
    from = null;
    plot.lasso = null;
    if (done?.ring && done.moved) {
      plot.handlers.lasso?.(event.type === "pointerup" ? enclosed(plot, done.ring) : null);
      plot.drawOver();
    } else if (done && !done.moved && event.type === "pointerup") {
      const row = plot.nearest(...position(event));
      if (row !== null) plot.handlers.open?.(row);
    }
  };
  over.addEventListener("pointerup", ended);
  over.addEventListener("pointercancel", ended);
  over.addEventListener("pointerleave", () => {
    if (from) return;
    change({ hover: null });
    plot.handlers.point?.(null);
  });
  over.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = position(event);
    const scale = Math.min(40, Math.max(1, plot.zoom.scale * Math.exp(-event.deltaY / 400)));
    const grown = scale / plot.zoom.scale;
    const { cx, cy } = plot.scales;
    const home = [cx - plot.zoom.x, cy - plot.zoom.y];
    plot.zoom =
      scale === 1
        ? { scale, x: 0, y: 0 }
        : { scale, x: x - home[0] - (x - cx) * grown, y: y - home[1] - (y - cy) * grown };
    plot.draw();
  }, { passive: false });
  over.addEventListener("dblclick", () => {
    plot.zoom = { scale: 1, x: 0, y: 0 };
    plot.draw();
  });
};
