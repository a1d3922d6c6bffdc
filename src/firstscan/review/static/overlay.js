// The disagreement of the nine reconstructions over the slices: what the uncertainty of a scan is made of.

import { get } from "./api.js";
import { button, element, key } from "./dom.js";
import { told } from "./measures.js";
import { nameOf } from "./store.js";

let wanted = false; // kept from scan to scan

// A toggle with its legend; ``lay`` is called with the map's facts, or with null to take it away.
export const overlayTools = (lay) => {
  let asked = null;
  const toggle = button("", () => flip(), { "aria-pressed": String(wanted), "aria-keyshortcuts": "D", title: "Where the nine masked reconstructions disagree (D)" }, element("span", { text: "Disagreement" }), key("D"));
  const legend = element("div", { class: "disagreement small", role: "status" });
  const box = element("div", { class: "group overlay-tools" }, toggle);

  const scale = (facts) => {
    const stops = facts.colours.map(([r, g, b]) => `rgb(${r} ${g} ${b})`).join(", ");
    return [
      element("span", { text: "Variance of nine masked reconstructions, normalised intensity²:" }),
      element("span", { class: "key" }, told(facts.low), element("span", { class: "ramp", "aria-hidden": "true", style: { background: `linear-gradient(to right, ${stops})` } }), `${told(facts.high)} or more`),
      element("span", { class: "quiet", text: `colour scale ${facts.name}, the same for all scans; mean of this scan, its uncertainty: ${told(facts.uncertainty)}` }),
    ];
  };

  const show = async (row) => {
    const ticket = (asked = Symbol("map"));
    toggle.setAttribute("aria-pressed", String(wanted));
    legend.hidden = !wanted;
    legend.classList.remove("wrong");
    lay(null);
    if (!wanted || row === null) return;
    legend.replaceChildren(element("span", { class: "quiet", text: "Reconstructing the scan nine times; the first one takes a few seconds …" }));
    const facts = await get("disagreement", { case: nameOf(row) }).catch((error) => ({ problem: error.message }));
    if (asked !== ticket) return;
    if (facts.problem) {
      legend.replaceChildren(element("span", { text: facts.problem }));
      legend.classList.add("wrong");
      return;
    }
    legend.replaceChildren(...scale(facts));
    await lay(facts);
  };

  let current = null;
  const flip = () => {
    wanted = !wanted;
    return show(current);
  };
  const of = (row) => {
    current = row;
    return show(row);
  };
  const stop = () => (asked = null);
  return { box, legend, flip, of, stop };
};
