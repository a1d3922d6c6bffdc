(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const figures = JSON.parse(byId("figures").textContent);
  const themes = JSON.parse(byId("themes").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const divs = [...document.querySelectorAll("[data-figure]")];
  let printing = window.matchMedia("print").matches;

  const theme = () => themes[dark.matches && !printing ? "dark" : "light"];

  const set = (target, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    const place = keys.reduce((at, key) => (at[key] ??= {}), target);
    place[last] = value;
  };
  const axisKeys = (layout) => Object.keys(layout).filter((key) => /^[xy]axis/.test(key));
  const layoutColours = (layout) => {
    const update = {};
    for (const [path, value] of Object.entries(theme().layout)) {
      const axis = path.match(/^([xy]axis)\.(.*)$/);
      if (!axis) update[path] = value;
      else for (const key of axisKeys(layout)) if (key.startsWith(axis[1])) update[`${key}.${axis[2]}`] = value;
    }
    return update;
  };
  const markColours = (trace) => (trace.meta && theme().marks[trace.meta.role]) || {};

  const draw = (div) => {
    const figure = figures[div.dataset.figure];
    for (const [path, value] of Object.entries(layoutColours(figure.layout))) set(figure.layout, path, value);
    for (const trace of figure.data)
      for (const [path, value] of Object.entries(markColours(trace))) set(trace, path, value);
    if (touch) figure.layout.dragmode = false;
    const config = {
      displaylogo: false,
      displayModeBar: touch ? false : "hover",
      responsive: true,
      plotlyServerURL: "",
      modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d", "toggleSpikelines"],
      toImageButtonOptions: { format: "svg", filename: `firstscan-${div.dataset.figure}` },
    };
    Plotly.newPlot(div, figure.data, figure.layout, config);
    div.on("plotly_click", (event) => {
      const point = event.points.find((p) => p.data.meta && p.data.meta.role === "target");
      if (point && byId(`pick-${point.pointNumber + 1}`)) window.location.hash = `pick-${point.pointNumber + 1}`;
    });
  };
  const repaint = () => {
    for (const div of divs) {
      Plotly.relayout(div, layoutColours(div.layout));
      div.data.forEach((trace, index) => {
        const update = markColours(trace);
        if (Object.keys(update).length) Plotly.restyle(div, update, [index]);
      });
    }
  };

  divs.forEach(draw);
  dark.addEventListener("change", repaint);
  const printSize = (div) =>
    div.closest(".pair:not(.single)") ? { width: 330, height: 320 } : { width: 670, height: Math.min(div.offsetHeight || 300, 300) };
  const onPrint = (now) => {
    if (printing === now) return;
    printing = now;
    repaint();
    for (const div of divs) {
      if (now) Plotly.relayout(div, printSize(div));
      else Plotly.relayout(div, { width: null, height: null, autosize: true }).then(() => Plotly.Plots.resize(div));
    }
  };
  window.addEventListener("beforeprint", () => onPrint(true));
  window.addEventListener("afterprint", () => onPrint(false));
  window.matchMedia("print").addEventListener("change", (event) => onPrint(event.matches));

  const copied = (button) => {
    const before = button.dataset.label || button.textContent;
    button.dataset.label = before;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1500);
  };
  const copyBySelection = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    document.execCommand("copy");
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const element = byId(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(element.textContent);
      } catch {
        copyBySelection(element);
      }
      copied(button);
    });
  }

  const table = byId("finding-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const search = byId("finding-search");
  const severity = byId("finding-severity");
  const code = byId("finding-code");
  const picks = byId("finding-picks");
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits =
        (!severity.value || row.dataset.severity === severity.value) &&
        (!code.value || row.dataset.code === code.value) &&
        (!picks.checked || "pick" in row.dataset) &&
        (!wanted || row.textContent.toLowerCase().includes(wanted));
      row.hidden = !fits;
      shown += fits;
    }
    byId("finding-count").textContent = `${shown} of ${rows.length} shown`;
  };
  search.addEventListener("input", filter);
  for (const control of [severity, code, picks]) control.addEventListener("change", filter);
  document.querySelector(".filter").hidden = false;
  filter();
  const natural = new Intl.Collator("en", { numeric: true });
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent;
      const ordered = [...rows].sort((a, b) => natural.compare(text(a), text(b)) * (down ? -1 : 1));
      body.append(...ordered);
    });
  });
})();
