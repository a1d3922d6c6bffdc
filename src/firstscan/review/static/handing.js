// Hand the batch over from the page: to which tool, to how many readers, and where it went.

import { send } from "./api.js";
import { dialog } from "./dialogs.js";
import { button, count, element } from "./dom.js";
import { store } from "./store.js";

const TOOLS = {
  bids: "BIDS folder", csv: "CSV list", "dicom-list": "list of DICOM files", itksnap: "ITK-SNAP", mitk: "MITK", monailabel: "MONAI Label", nnunet: "nnU-Net",
  slicer: "3D Slicer", slicercart: "SlicerCART",
};

const field = (label, id, input) => element("div", { class: "field" }, element("label", { for: id, text: label }), input);

const done = (found) => [
  element("p", { class: "strong good", text: "Handed over." }),
  element("p", {}, "It is in ", element("code", { text: found.folder })),
  found.open === found.folder ? null : element("p", {}, "Open ", element("code", { text: found.open })),
  element("p", { text: found.message }),
];

export const handOver = () => {
  const { pool, state } = store;
  const target = element("select", { id: "target" }, ...Object.keys(pool.handoff).map((name) => element("option", { value: name, text: TOOLS[name] ?? name })));
  const folder = element("input", { id: "folder", type: "text", required: true, autocomplete: "off", spellcheck: "false" });
  const readers = element("input", { id: "readers", type: "number", min: 1, max: state.budget, value: 1, required: true });
  const overlap = element("input", { id: "overlap", type: "number", min: 0, max: state.budget, value: 0, required: true, disabled: true });
  const result = element("div", { class: "result", role: "status" });
  const submit = element("button", { type: "submit", class: "primary", text: "Hand over" });
  let own = false;
  const suggest = () => {
    if (!own) folder.value = pool.handoff[target.value];
  };
  target.value = pool.handoff.slicer ? "slicer" : Object.keys(pool.handoff)[0];
  suggest();
  target.addEventListener("change", suggest);
  folder.addEventListener("input", () => (own = true));
  readers.addEventListener("input", () => {
    overlap.disabled = Number(readers.value) < 2;
    if (overlap.disabled) overlap.value = 0;
  });
  const run = async (event) => {
    event.preventDefault();
    submit.disabled = true;
    result.replaceChildren(element("p", { class: "quiet", text: "Writing …" }));
    try {
      const found = await send("handoff", { target: target.value, folder: folder.value, readers: Number(readers.value), overlap: Number(overlap.value), seq: store.state.seq });
      result.replaceChildren(...done(found).filter(Boolean));
    } catch (error) {
      result.replaceChildren(element("p", { class: "wrong", role: "alert", text: error.message }));
    } finally {
      submit.disabled = false;
    }
  };
  const form = element(
    "form",
    { onsubmit: run },
    element("p", { text: `${count(state.budget, "scan")} of this batch.` }),
    field("For", "target", target),
    field("Into the folder", "folder", folder),
    element("div", { class: "two" }, field("Readers", "readers", readers), field("Scans that all of them read", "overlap", overlap)),
    result,
    element("div", { class: "ends" }, button("Close", () => box.close()), submit),
  );
  const box = dialog("Hand the batch over", { class: "small-dialog" }, form);
  target.focus();
};
