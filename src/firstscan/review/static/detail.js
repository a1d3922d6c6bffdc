// The scan in focus: pictures, why it was picked, its signals, and what can be done with it.

import * as actions from "./actions.js";
import { planesOf, standsFor } from "./alike.js";
import { button, element, key } from "./dom.js";
import { badge, swatch } from "./list.js";
import {
  batch, closedOf, isAccepted, isPinned, nameOf, passedOf, pickOf, standing, store, stratumOf, vetoOf,
} from "./store.js";

const significant = (value) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 3 });

const meter = (name, low, high, percentile, value) =>
  element(
    "div",
    { class: "meter", title: `${name} ${significant(value)}` },
    element("div", { class: "meter-head" }, element("span", { text: name }), element("span", { class: "figure", text: Math.round(percentile) })),
    element("div", { class: "track", "aria-hidden": "true" }, element("span", { style: { left: `${percentile}%` } })),
    element("div", { class: "meter-ends quiet", "aria-hidden": "true" }, element("span", { text: low }), element("span", { text: high })),
  );

export const meters = (row) => {
  const { typicality: t, uncertainty: u } = store.pool;
  return element(
    "div",
    { class: "meters" },
    meter("Typicality", "unusual", "typical", t.percentile[row], t.value[row]),
    u ? meter("Uncertainty", "easy", "hard", u.percentile[row], u.value[row]) : element("p", { class: "quiet small", text: "No uncertainty: preset instant uses no network." }),
  );
};

export const metadata = (row) => {
  const shown = store.pool.columns.map((column) => {
    const value = column.values[row];
    const text = column.kind === "number" ? (value === null ? "" : significant(value)) : column.names[value];
    return text ? element("div", {}, element("dt", { text: column.name }), element("dd", { text })) : null;
  });
  return element("dl", { class: "metadata" }, ...shown);
};

export const buttons = (row) => {
  const picked = Boolean(pickOf(row));
  const gone = vetoOf(row) !== undefined || passedOf(row) !== undefined;
  const fixed = Boolean(closedOf(row));
  const made = (text, letter, run, given = {}) =>
    button("", () => run(row), { ...given, "aria-keyshortcuts": letter }, element("span", { text }), key(letter));
  return element(
    "div",
    { class: "actions" },
    made(isAccepted(row) ? "Accepted" : "Accept", "A", actions.accept, { disabled: !picked, "aria-pressed": String(isAccepted(row)), class: "accept" }),
    made(gone ? "Allow again" : "Veto …", "V", actions.veto, { disabled: fixed }),
    made("Replace", "R", actions.replace, { disabled: !picked }),
    made(isPinned(row) ? "Pinned" : "Pin", "P", actions.pin, { disabled: fixed, "aria-pressed": String(isPinned(row)) }),
    made("Stands for", "S", standsFor, { class: "stands" }),
  );
};

export const heading = (row) => {
  const pick = pickOf(row);
  const stratum = stratumOf(row);
  const size = stratum === null ? 0 : batch().strata.filter((s) => s === stratum).length;
  return element(
    "div",
    { class: "about" },
    pick ? badge(pick) : null,
    element(
      "div",
      {},
      element("h2", { class: "id", text: nameOf(row) }),
      element("p", { class: "quiet small" }, ...(stratum === null ? [] : swatch(stratum, `stratum ${stratum} (${size} scan${size === 1 ? "" : "s"})`))),
    ),
  );
};

export const reason = (row) => {
  const pick = pickOf(row);
  const text = pick ? pick.reason : standing(row) || "Not in the batch. P pins it there.";
  return element("p", { class: "reason", text: `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` });
};

export const warnings = (row) => {
  const found = store.pool.findings[row] ?? [];
  return found.length ? element("ul", { class: "warnings" }, ...found.map((text) => element("li", { text }))) : null;
};

const planes = (row, open) => {
  if (!store.pool.pictures)
    return element("p", { class: "quiet small none", text: "No pictures: these results hold features only, as firstscan pick makes them. Results of firstscan select have pictures." });
  return element(
    "button",
    { type: "button", class: "planes", onclick: () => open(row), "aria-label": `Look through ${nameOf(row)} (Enter)` },
    ...planesOf(row),
  );
};

export const draw = (box, open) => {
  const row = store.focus;
  if (row === null) {
    box.replaceChildren(element("p", { class: "quiet", text: "No scan is in focus." }));
    return;
  }
  box.replaceChildren(
    planes(row, open),
    element("div", { class: "texts" }, heading(row), reason(row), meters(row)),
    element("div", { class: "more" }, warnings(row), metadata(row)),
    buttons(row),
  );
};
