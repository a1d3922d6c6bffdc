// What a person can do; each is one request, and the answer is the new state.

import { substitution } from "./alike.js";
import { Refused, act, get } from "./api.js";
import { askReason } from "./dialogs.js";
import { busy, byId, count, toast } from "./dom.js";
import { change, isAccepted, isPinned, nameOf, pickOf, store, vetoOf, passedOf } from "./store.js";

let running = Promise.resolve();

const explain = async (error) => {
  toast(error.message, { bad: true });
  if (error instanceof Refused && error.stale) change({ state: await get("state"), preview: null });
};

// The scan to look at next: where a pick in focus has left the batch, whoever has its rank now.
const followed = (before, state) => {
  const old = before.picks.find((p) => p.row === store.focus);
  if (!old || state.picks.some((p) => p.row === store.focus)) return store.focus;
  return state.picks[Math.min(old.rank, state.picks.length) - 1].row;
};

// One after another: an action is asked for on the state that the one before has led to.
export const perform = (body, said) => {
  running = running.then(async () => {
    const exporting = body.action === "export";
    busy(exporting ? "Exporting …" : "");
    byId("export").disabled = exporting;
    try {
      const before = store.state;
      const state = await act({ ...body, seq: before.seq });
      const rank = body.case ? before.picks.find((p) => nameOf(p.row) === body.case)?.rank : undefined;
      const there = state.picks.find((p) => p.rank === rank);
      change({ state, preview: null, focus: followed(before, state) });
      const words = said?.(state, there);
      if (words) toast(words, body.action === "undo" || body.action === "export" ? {} : { action: { text: "Undo", run: undo } });
      return state;
    } catch (error) {
      change({ preview: null });
      await explain(error);
      return null;
    } finally {
      busy("");
      byId("export").disabled = false;
    }
  });
  return running;
};

export const undo = () => {
  if (!store.state.undo) return toast("There is nothing to undo.");
  const words = store.state.undo;
  return perform({ action: "undo" }, () => `Undone: ${words}`);
};

const none = () => toast("Choose a scan first: ↑ and ↓ go through the list.");
const notPicked = (row) => toast(`${nameOf(row)} is not in the batch; pin it (P) to put it there.`);

export const accept = (row) => {
  if (row === null) return none();
  if (!pickOf(row)) return notPicked(row);
  return perform({ action: isAccepted(row) ? "unaccept" : "accept", case: nameOf(row) });
};

export const veto = async (row) => {
  if (row === null) return none();
  const name = nameOf(row);
  if (vetoOf(row) !== undefined || passedOf(row) !== undefined)
    return perform({ action: "allow", case: name }, () => `${name} may be picked again.`);
  const why = await askReason(name, pickOf(row) ? substitution(row) : null);
  if (why === null) return undefined;
  return perform({ action: "veto", case: name, why }, (_, there) =>
    there ? `${name} is vetoed; ${nameOf(there.row)} takes its place.` : `${name} is vetoed and will not be picked.`,
  );
};

export const replace = (row) => {
  if (row === null) return none();
  if (!pickOf(row)) return notPicked(row);
  const name = nameOf(row);
  return perform({ action: "replace", case: name }, (_, there) => `${name} is replaced by ${nameOf(there.row)}.`);
};

export const pin = (row) => {
  if (row === null) return none();
  const name = nameOf(row);
  if (isPinned(row)) return perform({ action: "unpin", case: name });
  const outside = !pickOf(row);
  return perform({ action: "pin", case: name }, () => (outside ? `${name} is in the batch now, pinned.` : ""));
};

export const resize = (budget) =>
  budget === store.state.budget
    ? change({ preview: null })
    : perform({ action: "budget", budget }, (state) => `The batch holds ${count(state.budget, "scan")} now.`);

export const useStrategy = (strategy) =>
  strategy === store.state.strategy
    ? change({ preview: null })
    : perform({ action: "strategy", strategy }, () => `The batch is chosen by ${strategy} now.`);
