// A scatter of the whole pool on two canvases: the points, and above them what changes often.

import { element } from "./dom.js";
import { painting } from "./colouring.js";
import { addMark, colours, styleOf } from "./marks.js";
import { follow } from "./pointing.js";
import {
  batch, closedOf, isAccepted, isPinned, matches, passedOf, pickOf, store, vetoOf,
} from "./store.js";

const MOST_COLOURED = 30;
const MOST_MIXED = 1500;
const MOST_NUMBERED = 60;
const REACH_PX = 14;

export class Plot {
  // ``shape``: x and y per row, ``axes`` the words at the axes (or null), ``equal`` one scale for both directions,
  // ``padding`` in pixels; ``coloured`` by stratum always, or only where there are few of them.
  constructor(box, shape, handlers = {}) {
    this.box = box;
    this.shape = shape;
    this.handlers = handlers;
    this.points = element("canvas", { "aria-hidden": "true" });
    this.over = element("canvas", { role: "img", "aria-label": shape.alternative ?? "" });
    box.append(this.points, this.over);
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.batch = null;
    new ResizeObserver(() => this.resize()).observe(box);
    if (!shape.still) follow(this);
    this.resize();
  }

  resize() {
    const { width, height } = this.box.getBoundingClientRect();
    if (!width || !height) return;
    const dots = window.devicePixelRatio || 1;
    for (const canvas of [this.points, this.over]) {
      canvas.width = Math.round(width * dots);
      canvas.height = Math.round(height * dots);
      canvas.getContext("2d").setTransform(dots, 0, 0, dots, 0, 0);
    }
    Object.assign(this, { width, height });
    this.draw();
  }

  place() {
    const { x, y, range, equal, padding } = this.shape;
    const [left, right, bottom, top] = padding;
    let [sx, sy] = [(this.width - left - right) / (range[1] - range[0]), (this.height - top - bottom) / (range[3] - range[2])];
    if (equal) sx = sy = Math.min(sx, sy);
    sx *= this.zoom.scale;
    sy *= this.zoom.scale;
    const cx = left + (this.width - left - right) / 2 + this.zoom.x;
    const cy = top + (this.height - top - bottom) / 2 + this.zoom.y;
    const [mx, my] = [(range[0] + range[1]) / 2, (range[2] + range[3]) / 2];
    this.at = (row) => [cx + (x[row] - mx) * sx, cy - (y[row] - my) * sy];
    this.scales = { sx, sy, cx, cy, mx, my };
  }

  draw() {
    if (!this.width || !store.state) return;
    this.place();
    this.drawPoints();
    this.drawOver();
  }

  get shown() {
    return this.batch ?? batch();
  }

  drawPoints() {
    const context = this.points.getContext("2d");
    const colour = colours();
    context.clearRect(0, 0, this.width, this.height);
    if (this.shape.axes) this.drawAxes(context, colour);
    const n = this.shape.x.length;
    const radius = (n <= 100 ? 5 : n <= 400 ? 4 : n <= 1500 ? 3 : 2) * (this.shape.small ? 0.75 : 1) * Math.min(2, Math.sqrt(this.zoom.scale));
    const paths = new Map();
    const faint = new Path2D();
    const crossed = new Path2D();
    const strata = this.shown.strata;
    const many = this.shape.coloured === "few" && (n > MOST_MIXED || new Set(strata).size > MOST_COLOURED);
    const own = many || !strata.length ? null : strata;
    const paint = this.batch ? (row) => styleOf(own?.[row] ?? null) : painting(own);
    const picked = this.batch ? new Set(this.batch.picks.map((p) => p.row)) : null;
    for (let row = 0; row < n; row++) {
      if (picked ? picked.has(row) : pickOf(row)) continue;
      const [x, y] = this.at(row);
      if (x < -9 || y < -9 || x > this.width + 9 || y > this.height + 9) continue;
      if (!matches(row)) addMark(faint, "circle", x, y, Math.min(radius, 2));
      else if (vetoOf(row) !== undefined || passedOf(row) !== undefined || closedOf(row)) this.cross(crossed, x, y);
      else {
        const { colour: fill, symbol } = paint(row);
        if (!paths.has(fill)) paths.set(fill, new Path2D());
        addMark(paths.get(fill), symbol, x, y, radius);
      }
    }
    context.globalAlpha = 0.3;
    context.fillStyle = colour("muted");
    context.fill(faint);
    context.globalAlpha = 0.85;
    for (const [fill, path] of paths) {
      context.fillStyle = fill;
      context.fill(path);
    }
    context.globalAlpha = 1;
    context.strokeStyle = colour("muted");
    context.lineWidth = 1.5;
    context.stroke(crossed);
  }

  cross(path, x, y) {
    path.moveTo(x - 4, y - 4);
    path.lineTo(x + 4, y + 4);
    path.moveTo(x + 4, y - 4);
    path.lineTo(x - 4, y + 4);
  }

  drawAxes(context, colour) {
    const { sx, sy, cx, cy, mx, my } = this.scales;
    const [left, right, bottom, top] = this.shape.padding;
    const edge = { left, right: this.width - right, top, bottom: this.height - bottom };
    context.strokeStyle = colour("line");
    context.fillStyle = colour("muted");
    context.lineWidth = 1;
    context.font = `11px ${colour("font")}`;
    for (const tick of [0, 25, 50, 75, 100]) {
      const [x, y] = [cx + (tick - mx) * sx, cy - (tick - my) * sy];
      context.beginPath();
      if (x >= edge.left && x <= edge.right) {
        context.moveTo(x, edge.top);
        context.lineTo(x, edge.bottom);
        context.textAlign = "center";
        context.fillText(tick, x, edge.bottom + 14);
      }
      if (y >= edge.top && y <= edge.bottom) {
        context.moveTo(edge.left, y);
        context.lineTo(edge.right, y);
        context.textAlign = "right";
        context.fillText(tick, edge.left - 6, y + 4);
      }
      context.stroke();
    }
    const [low, name, high] = this.shape.axes.x;
    const words = this.shape.axes.y;
    context.fillStyle = colour("ink");
    context.textAlign = "center";
    context.fillText(`${low}  ←  ${name}  →  ${high}`, (edge.left + edge.right) / 2, this.height - 4);
    context.save();
    context.translate(11, (edge.top + edge.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(`${words[0]}  ←  ${words[1]}  →  ${words[2]}`, 0, 0);
    context.restore();
  }

  drawOver() {
    if (!this.at) return;
    const context = this.over.getContext("2d");
    const colour = colours();
    context.clearRect(0, 0, this.width, this.height);
    const picks = this.shown.picks;
    const numbered = picks.length <= MOST_NUMBERED;
    const radius = (numbered ? 10 : 5) * (this.shape.small ? 0.8 : 1);
    context.textAlign = "center";
    for (let i = picks.length - 1; i >= 0; i--) this.drawPick(context, colour, picks[i], radius, numbered);
    if (this.batch) return;
    for (const row of [store.focus, store.hover])
      if (row !== null && row !== undefined) this.ring(context, colour, row, pickOf(row) ? radius + 4 : 7);
    if (this.lasso) this.drawLasso(context, colour);
  }

  drawLasso(context, colour) {
    context.beginPath();
    for (const [x, y] of this.lasso) context.lineTo(x, y);
    context.closePath();
    context.globalAlpha = 0.14;
    context.fillStyle = colour("accent");
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.strokeStyle = colour("accent");
    context.stroke();
  }

  drawPick(context, colour, pick, radius, numbered) {
    const [x, y] = this.at(pick.row);
    const fits = matches(pick.row);
    context.globalAlpha = fits ? 1 : 0.35;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = colour("ink");
    context.fill();
    context.lineWidth = numbered ? 3 : 2;
    context.strokeStyle = styleOf(pick.stratum).colour;
    context.stroke();
    if (numbered) {
      context.fillStyle = colour("paper");
      context.font = `700 ${this.shape.small ? 9 : 11}px ${colour("font")}`;
      context.fillText(pick.rank, x, y + (this.shape.small ? 3 : 4));
    }
    const badge = this.batch ? "" : isPinned(pick.row) ? "◆" : isAccepted(pick.row) ? "✓" : "";
    if (badge) this.badge(context, colour, badge, x + radius * 0.85, y - radius * 0.85);
    context.globalAlpha = 1;
  }

  badge(context, colour, text, x, y) {
    context.beginPath();
    context.arc(x, y, 6.5, 0, 2 * Math.PI);
    context.fillStyle = colour("paper");
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = colour("ink");
    context.stroke();
    context.fillStyle = colour("ink");
    context.font = `700 ${text === "◆" ? 8 : 9}px ${colour("font")}`;
    context.fillText(text, x, y + 3);
  }

  ring(context, colour, row, radius) {
    const [x, y] = this.at(row);
    for (const [width, stroke] of [[5, colour("paper")], [2.5, colour("accent")]]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = stroke;
      context.stroke();
    }
  }

  // The row under the pointer: a pick rather than the points around it.
  nearest(px, py) {
    let found = null;
    let least = REACH_PX ** 2;
    for (let row = 0; row < this.shape.x.length; row++) {
      const [x, y] = this.at(row);
      const away = (x - px) ** 2 + (y - py) ** 2 - (pickOf(row) ? 60 : 0) + (matches(row) ? 0 : 100);
      if (away < least) [least, found] = [away, row];
    }
    return found;
  }
}
