// Where a picture of a scan is in the patient: outlined letters on all four edges, and a crosshair of 2 px.

import { element } from "./dom.js";

export const PLANES = ["axial", "coronal", "sagittal"];
const LETTERS = { axial: "RLAP", coronal: "RLSI", sagittal: "APSI" }; // left, right, top, bottom
const EDGES = ["left", "right", "top", "bottom"];

export const letters = (plane) => EDGES.map((edge, i) => element("span", { class: `letter ${edge}`, "aria-hidden": "true", text: LETTERS[plane][i] }));

// A plane's letters and crosshair; ``place`` puts the lines, in shares of the width and the height.
export const marks = (plane, crossed = true) => {
  const across = element("span", { class: "cross across" });
  const down = element("span", { class: "cross down" });
  const box = element("div", { class: "marks", "aria-hidden": "true" }, ...(crossed ? [across, down] : []), ...letters(plane));
  const place = (x, y) => {
    down.style.setProperty("left", `${100 * x}%`);
    across.style.setProperty("top", `${100 * y}%`);
  };
  return { box, place };
};

// Tell a drag with the left button from a click; both are given the place in the element where they began.
export const leftDrag = (box, { begin = () => true, drag, click = () => {} }) => {
  let from = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.shiftKey || !begin(event)) return;
    from = { x: event.clientX, y: event.clientY, moved: false };
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    from.moved ||= Math.hypot(dx, dy) > 3;
    if (from.moved) drag(dx, dy);
  });
  box.addEventListener("pointerup", (event) => {
    if (from && !from.moved) click(event);
    from = null;
  });
  box.addEventListener("pointercancel", () => (from = null));
  box.addEventListener("dragstart", (event) => event.preventDefault());
};

// A drag with the middle or the right button, or with Shift and the left one; ``begin`` is given the event.
export const panDrag = (box, { begin, drag }) => {
  let from = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && !event.shiftKey) return;
    event.preventDefault();
    begin(event);
    from = { x: event.clientX, y: event.clientY };
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => from && drag(event.clientX - from.x, event.clientY - from.y));
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => (from = null));
  box.addEventListener("contextmenu", (event) => event.preventDefault());
};

// Show the newest wish as soon as the pictures of the one before are there, so that a slow reader is never flooded.
export const paced = (images) => {
  let wish = null;
  let waiting = 0;
  const next = () => {
    if (waiting || !wish) return;
    const sources = wish();
    wish = null;
    images().forEach((image, i) => {
      if (!sources[i] || image.getAttribute("src") === sources[i]) return;
      waiting += 1;
      const done = () => ((waiting -= 1), next());
      image.addEventListener("load", done, { once: true });
      image.addEventListener("error", done, { once: true });
      image.setAttribute("src", sources[i]);
    });
  };
  return (sources) => ((wish = sources), next());
};
