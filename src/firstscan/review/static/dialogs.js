// Dialogs are the browser's own: they keep the focus inside, and Escape closes them.

import { get } from "./api.js";
import { button, element, homeForToast } from "./dom.js";
import { store } from "./store.js";

const REASONS = ["motion", "artefact", "wrong body part", "wrong sequence or phase", "incomplete", "may not be used"];

export const dialog = (title, given, ...children) => {
  const close = button("Close", () => box.close(), { class: "close", "aria-label": "Close" });
  const box = element(
    "dialog",
    { "aria-label": title, ...given },
    element("div", { class: "dialog-head" }, element("h2", { text: title }), close),
    ...children,
  );
  document.body.append(box);
  box.addEventListener("close", () => {
    homeForToast(box);
    box.remove();
  });
  box.addEventListener("click", (event) => event.target === box && box.close());
  box.showModal();
  return box;
};

export const isOpen = () => document.querySelector("dialog[open]") !== null;

// Resolves to the reason, or to null where the person thinks better of it.
// ``comes`` shows what takes its place; null where the scan is no pick.
export const askReason = (name, comes) =>
  new Promise((resolve) => {
    const field = element("input", { type: "text", id: "reason", maxlength: 500, required: true, autocomplete: "off", autofocus: true });
    let answer = null;
    const form = element(
      "form",
      { method: "dialog", onsubmit: () => (answer = field.value.trim() || null) },
      element("label", { for: "reason", text: "Why can it not be used? The reason goes into the log and the report." }),
      field,
      element(
        "div",
        { class: "chips" },
        ...REASONS.map((text) => button(text, () => ((field.value = text), form.requestSubmit()))),
      ),
      comes ?? element("p", { class: "quiet small", text: "It will not be picked while it is vetoed." }),
      element("div", { class: "ends" }, button("Cancel", () => box.close()), element("button", { type: "submit", class: "primary", text: "Veto" })),
    );
    const box = dialog(`Veto ${name}`, { class: comes ? "veto-dialog" : "small-dialog" }, form);
    box.addEventListener("close", () => resolve(answer));
    field.focus();
  });

const KEYS = [
  ["↑ ↓", "go through the list"], ["Enter", "look through the scan in focus"], ["A", "accept it: looked at, stays"],
  ["V", "veto it, with a reason; again: allow it"], ["R", "replace it by the next best of its stratum"],
  ["P", "pin it: it must be in the batch"], ["S", "see what it stands for: the nearest scans, its substitute"], ["U", "undo the last action"], ["E", "export the batch"], ["O", "hand the batch over"],
  ["C", "compare strategies"], ["G", "gallery of all scans, or maps"], ["F", "the scan farthest from any pick"], ["[ ]", "batch, all scans, vetoed"], ["− +", "make the batch smaller or larger"],
  ["/", "search"], ["L", "what was done"], ["? H", "this help"], ["Esc", "close"], ["← →", "while looking: the pick before, after"], ["1 2 0", "while looking: one channel, all of them"], ["W", "while looking: reset the window"], ["− + Z", "while looking: smaller, larger, whole slices"], ["D", "while looking: where the reconstructions disagree"],
  ["N B", "while looking: the planned slice below, above"],
];

export const help = () =>
  dialog(
    "How to review a batch",
    { class: "help" },
    element("p", { text: "Look at each pick; accept what can be annotated, veto what cannot. A veto brings the best substitute of the same stratum. Accepted and pinned scans stay when the batch is resized or chosen by another strategy; vetoed ones stay out. Export makes the list on the page the selection of the results folder." }),
    element("dl", { class: "keylist" }, ...KEYS.map(([keys, text]) => element("div", {}, element("dt", {}, ...keys.split(" ").map((k) => element("kbd", { text: k }))), element("dd", { text })))),
    element("p", { class: "quiet small", text: "In a scan: dragging with the left button sets the window (right is wider, up is brighter), a click moves the crosshair, the wheel goes through the slices, with Ctrl it zooms; dragging with the right button (or with Shift) moves the slice." }),
    element("p", { class: "quiet small", text: "In the map and the plane: point at a scan to see it in all views, select it to look through it; wheel and drag zoom and move, a double click goes back; Shift and drag draws a lasso, and the gallery shows what is inside. In the gallery the arrows go from scan to scan; A, V and P work as in the list. Every action is kept in review.jsonl; closing the page loses nothing." }),
  );

export const showLog = async () => {
  const box = dialog("What was done", { class: "log-dialog" });
  const entries = await get("log");
  box.append(
    element(
      "ol",
      { class: "log" },
      ...entries.map((entry) =>
        element(
          "li",
          { class: entry.undone ? "undone" : "" },
          element("time", { datetime: entry.time, class: "quiet", text: new Date(entry.time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) }),
          element("span", { text: `${entry.what}${entry.undone ? " (undone)" : ""}` }),
          entry.why ? element("span", { class: "quiet", text: entry.why }) : null,
        ),
      ),
    ),
  );
};

const listed = (names) => names.filter(Boolean).join(", ");

export const askExport = (run) => {
  const { state } = store;
  const waiting = state.budget - state.accepted.length;
  const said = listed([
    `${state.budget} scans`, state.accepted.length ? `${state.accepted.length} accepted` : "", state.pinned.length ? `${state.pinned.length} pinned` : "",
    Object.keys(state.vetoed).length ? `${Object.keys(state.vetoed).length} vetoed` : "",
  ]);
  const box = dialog(
    "Export the batch",
    { class: "small-dialog" },
    element("p", { class: "strong", text: said }),
    waiting ? element("p", { class: "note caution", text: `${waiting} of them ${waiting === 1 ? "has" : "have"} not been accepted yet.` }) : null,
    element("p", { text: `selection.csv, selection.json${state.picks.some((p) => p.slices) ? ", slices.csv" : ""} and report.html of the results folder become those of this batch; the selection that the review began with stays in its folder “review”.` }),
    element("p", { class: "quiet small", text: "Then hand it over: O, or “Hand over” at the top." }),
    element(
      "div",
      { class: "ends" },
      element("a", { href: "api/selection.csv", download: "selection.csv", class: "button", text: "Download the list only" }),
      button("Cancel", () => box.close()),
      button("Export", () => (box.close(), run()), { class: "primary", id: "export-now", autofocus: true }),
    ),
  );
  box.querySelector("#export-now").focus();
};
