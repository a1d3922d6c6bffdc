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

// Where a dialog is open, what is outside of it cannot be read or used: there the toast lies in the dialog.
const box = byId("toast");
export const homeForToast = (leaving = null) => {
  const home = [...document.querySelectorAll("dialog[open]")].filter((each) => each !== leaving).at(-1) ?? document.body;
  if (box.parentNode !== home) home.append(box);
};

let fading;
export const toast = (message, { bad = false, action = null } = {}) => {
  homeForToast();
  const hide = () => (box.hidden = true);
  box.setAttribute("role", bad ? "alert" : "status");
  box.replaceChildren(element("span", { text: message }));
  if (action) box.append(button(action.text, () => (hide(), action.run())));
  if (bad) box.append(button("Dismiss", hide));
  box.classList.toggle("error", bad);
  box.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(hide, bad ? 15000 : 5000);
};

export const busy = (words) => (byId("busy").textContent = words ?? "");
