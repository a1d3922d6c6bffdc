// Window and level. What a person has set is kept per channel as shares of the way through each scan's own window, so
// that it means the same in the next scan; CT has one window of its own, so there the numbers stay the same.

import { element } from "./dom.js";

const CT = { brain: [40, 80], lung: [-600, 1500], bone: [400, 1800], soft: [40, 400] };
const WORDS = { auto: "Auto", full: "Full range", brain: "CT brain", lung: "CT lung", bone: "CT bone", soft: "CT soft tissue" };
const PIXELS = 300;
const kept = new Map();

const wishFor = (channel) => kept.get(channel.name) ?? { preset: "auto" };

// The darkest and the brightest grey value that a channel is shown with.
export const windowOf = (channel) => {
  const { preset, share } = wishFor(channel);
  const [low, high] = channel.window;
  if (preset === "full") return channel.range;
  if (CT[preset]) return [CT[preset][0] - CT[preset][1] / 2, CT[preset][0] + CT[preset][1] / 2];
  return preset === "own" ? share.map((s) => low + s * (high - low)) : [low, high];
};

// The same as shares of the scan's own window, as the server takes them.
export const sharesOf = (channel) => {
  const [low, high] = channel.window;
  return windowOf(channel).map((value) => Number(((value - low) / (high - low)).toFixed(4)));
};

export const setPreset = (channels, preset) => channels.forEach((channel) => kept.set(channel.name, { preset }));

// Right widens the window, left narrows it; up is brighter, down is darker.
export const dragged = (channel, [low, high], dx, dy) => {
  const own = channel.window[1] - channel.window[0];
  const width = Math.max(0.01 * own, high - low + (dx / PIXELS) * own);
  const centre = (low + high) / 2 + (dy / PIXELS) * own;
  const share = [centre - width / 2, centre + width / 2].map((value) => (value - channel.window[0]) / own);
  kept.set(channel.name, { preset: "own", share });
};

const short = (value) => Number(value.toPrecision(Math.abs(value) >= 1000 ? 4 : 3)).toLocaleString("en", { maximumFractionDigits: 3 });

export const told = (channel) => {
  const [low, high] = windowOf(channel);
  return `C ${short((low + high) / 2)}  W ${short(high - low)}`;
};

// A list of presets, live numbers and a way back; ``draw`` shows the windows anew.
export const windowTools = (draw) => {
  let channels = [];
  const numbers = element("output", { class: "numbers", "aria-label": "Centre and width of the window" });
  const list = element("select", { "aria-label": "Window", onchange: () => use(list.value) });
  const reset = element("button", { type: "button", "aria-keyshortcuts": "W", onclick: () => use("auto") }, element("span", { text: "Reset" }), element("kbd", { text: "W", "aria-hidden": "true" }));
  const tell = () => {
    const { preset } = channels.length ? wishFor(channels[0]) : { preset: "auto" };
    list.value = preset;
    numbers.textContent = channels.map((c) => (channels.length > 1 ? `${c.name} ${told(c)}` : told(c))).join("   ");
    reset.disabled = preset === "auto";
  };
  const use = (preset) => {
    if (preset !== "own") setPreset(channels, preset);
    tell();
    draw();
  };
  const fill = (shown, modality) => {
    channels = shown;
    const names = ["auto", "full", ...(modality === "ct" ? Object.keys(CT) : [])];
    list.replaceChildren(...names.map((name) => element("option", { value: name, text: WORDS[name] })), element("option", { value: "own", text: "As set", disabled: true }));
    for (const channel of channels) if (CT[wishFor(channel).preset] && modality !== "ct") kept.delete(channel.name);
    tell();
  };
  return { box: element("div", { class: "window-tools" }, list, numbers, reset), fill, tell, reset: () => use("auto") };
};
