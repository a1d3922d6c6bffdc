// Small pictures of scans, fetched once and kept; the newest wish comes first, and what has left the page is not fetched.

import { address } from "./api.js";
import { element } from "./dom.js";
import { nameOf } from "./store.js";

const AT_ONCE = 4;
const kept = new Map(); // row → address of the picture, or null where there is none
const wishes = new Map(); // row → the images that wait for it
let running = 0;

const show = (image, source) => {
  if (source) image.src = source;
  else image.classList.add("none-there");
};

const fetched = async (row) => {
  const answer = await fetch(address("thumbnail", { case: nameOf(row) }));
  if (answer.ok) return URL.createObjectURL(await answer.blob());
  return answer.status === 404 ? null : undefined;
};

const next = () => {
  while (running < AT_ONCE && wishes.size) {
    const row = [...wishes.keys()].at(-1);
    const images = wishes.get(row);
    wishes.delete(row);
    if (!images.some((image) => image.isConnected)) continue;
    running += 1;
    fetched(row)
      .then((source) => {
        if (source === undefined) return;
        kept.set(row, source);
        for (const image of [...images, ...(wishes.get(row) ?? [])]) show(image, source);
        wishes.delete(row);
      }, () => {})
      .finally(() => ((running -= 1), next()));
  }
};

// An image of a scan; it has no source until the picture is there.
export const thumbnail = (row, given = {}) => {
  const image = element("img", { class: "thumb", alt: "", draggable: "false", ...given });
  if (kept.has(row)) show(image, kept.get(row));
  else {
    wishes.set(row, [...(wishes.get(row) ?? []), image]);
    queueMicrotask(next);
  }
  return image;
};
