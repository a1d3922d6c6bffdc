// Small helpers to build a page. Text is always set as text, never as markup.

export const byId = (id) => document.getElementById(id);

export const element = (tag, given = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "style") for (const [key, v] of Object.entries(value)) made.style.setProperty(key, v);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
};

export const button = (text, onclick, given = {}, ...children) =>
  element("button", { type: "button", text, onclick, ...given }, ...children);

export const key = (letter) => element("kbd", { text: letter, "aria-hidden": "true" });

export const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

let fading;
export const toast = (message, { bad = false, action = null } = {}) => {
  const box = byId("toast");
  box.replaceChildren(element("span", { text: message }));
  if (action) box.append(button(action.text, () => ((box.hidden = true), action.run())));
  box.classList.toggle("bad", bad);
  box.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (box.hidden = true), bad ? 9000 : 5000);
};

export const busy = (words) => (byId("busy").textContent = words ?? "");
