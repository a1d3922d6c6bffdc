// Says when the server is gone, asks for it again by itself, and shows what has changed meanwhile.

import { address, connection, get } from "./api.js";
import { byId, toast } from "./dom.js";
import { change, store } from "./store.js";

const BEAT_MS = 5000;
const AGAIN_MS = 1500;
const GONE = "firstscan review does not answer. Nothing that was done is lost. This page tries again by itself; to start it again, use the terminal.";
const ANEW = "firstscan review has been started anew. Open the address that it has printed in the terminal; nothing that was done is lost.";
const banner = byId("banner");
let lost = false;

const say = (words) => {
  lost = true;
  banner.hidden = false;
  if (banner.textContent !== words) banner.textContent = words;
};

// An answer can be older than what an action has led to meanwhile: the page never goes back to it.
const refreshed = async () => {
  const state = await get("state");
  if (state.seq > store.state.seq || (lost && state.seq === store.state.seq)) change({ state, preview: null });
};

const again = async () => {
  try {
    const answer = await fetch(address("seq"));
    if (answer.ok) {
      await refreshed();
      lost = false;
      banner.hidden = true;
      toast("firstscan review answers again.");
      return;
    }
    say(ANEW);
  } catch {
    say(GONE);
  }
  setTimeout(again, AGAIN_MS);
};

const beat = async () => {
  if (lost || document.visibilityState === "hidden") return;
  const found = await get("seq").catch(() => null);
  if (found && found.seq > store.state.seq) await refreshed().catch(() => {});
};

export const start = () => {
  connection.addEventListener("lost", () => {
    if (lost) return;
    say(GONE);
    setTimeout(again, AGAIN_MS);
  });
  setInterval(beat, BEAT_MS);
};
