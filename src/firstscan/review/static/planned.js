// The planned slices of a pick: a list from the top of the scan, with a way to the next and the one before.

import { button, count, element, key } from "./dom.js";

// The list and what marks the slice on show in it; null where whole scans are annotated.
export const planned = (slices, shown, jump) => {
  if (!slices) return null;
  let at = shown;
  const before = button("", () => jump(at - 1), { "aria-keyshortcuts": "B" }, element("span", { text: "‹ Before" }), key("B"));
  const after = button("", () => jump(at + 1), { "aria-keyshortcuts": "N" }, element("span", { text: "Next ›" }), key("N"));
  const chips = slices.index.map((index, i) =>
    button(String(index + 1), () => jump(i), { title: `index ${index} from 0; ${Number(slices.mm[i].toPrecision(4))} mm` }),
  );
  const place = element("span", { class: "quiet small", role: "status" });
  const mark = (now) => {
    at = now;
    for (const [i, chip] of chips.entries()) chip.setAttribute("aria-pressed", String(i === now));
    before.disabled = now <= 0;
    after.disabled = now >= chips.length - 1;
    place.textContent = `${now + 1} of ${chips.length}`;
    chips[now]?.scrollIntoView({ block: "nearest" });
  };
  const box = element(
    "section",
    { class: "planned", "aria-label": "Planned slices" },
    element("h3", { text: `Annotate ${count(chips.length, `${slices.plane} slice`)} of ${slices.of}` }),
    element("div", { class: "walk" }, before, after, place),
    element("div", { class: "chips", role: "group", "aria-label": "Numbers from 1, from the top of the scan" }, ...chips),
    element("p", { class: "quiet small", text: "Numbers count from 1 in the file, as in ITK-SNAP; the list runs from the top of the scan." }),
  );
  mark(Math.min(shown, chips.length - 1));
  return { box, mark };
};
