// What the page knows. Scans are rows; a listener is called with the names of what has changed.

const listeners = new Set();

export const store = {
  pool: null,
  state: null,
  preview: null,
  focus: null,
  hover: null,
  matching: null, // rows that fit the filter, null: all
  inside: null, // rows inside the lasso, null: all
  colouring: "stratum",
  coverage: null,
};

export const listen = (listener) => listeners.add(listener);

export const change = (values) => {
  const changed = new Set();
  for (const [name, value] of Object.entries(values)) {
    if (store[name] !== value || name === "state") changed.add(name);
    store[name] = value;
  }
  if (changed.has("state") || changed.has("preview")) derive();
  if (changed.size) for (const listener of listeners) listener(changed);
};

// The batch on show: the one that is being tried, else the one that counts.
export const batch = () => store.preview ?? store.state;

const facts = { ranks: new Map(), accepted: new Set(), pinned: new Set() };
const derive = () => {
  facts.ranks = new Map((batch()?.picks ?? []).map((pick) => [pick.row, pick]));
  facts.accepted = new Set(store.state?.accepted ?? []);
  facts.pinned = new Set(store.state?.pinned ?? []);
};

export const pickOf = (row) => facts.ranks.get(row);
export const isAccepted = (row) => facts.accepted.has(row);
export const isPinned = (row) => facts.pinned.has(row);
export const vetoOf = (row) => store.state.vetoed[row];
export const passedOf = (row) => store.state.passed[row];
export const closedOf = (row) => store.pool.closed[row];
export const nameOf = (row) => store.pool.ids[row];
export const matches = (row) => (store.matching === null || store.matching.has(row)) && (store.inside === null || store.inside.has(row));

export const stratumOf = (row) => {
  const own = pickOf(row)?.stratum ?? batch().strata[row];
  return own === undefined || own === null || own < 0 ? null : own;
};

// What to say of a scan in a word or two; "" where there is nothing to say.
export const standing = (row) => {
  if (pickOf(row)) return isAccepted(row) ? "accepted" : isPinned(row) ? "pinned" : "";
  if (vetoOf(row) !== undefined) return `vetoed: ${vetoOf(row)}`;
  if (passedOf(row) !== undefined) return `replaced by ${nameOf(passedOf(row))}`;
  return closedOf(row) ?? "";
};
