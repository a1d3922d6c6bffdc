// Requests to the server that sent this page; every address is relative, so that the key in it goes along.

// Tells "lost" when a request gets no answer.
export const connection = new EventTarget();

export class Refused extends Error {
  constructor(message, { stale = false, lost = false } = {}) {
    super(message);
    Object.assign(this, { stale, lost });
  }
}

const read = async (response) => {
  const body = await response.json().catch(() => ({ message: "The server has sent something unreadable." }));
  if (!response.ok) throw new Refused(body.message ?? `The server answers ${response.status}.`, { stale: body.stale === true });
  return body;
};

const ask = async (request) => {
  try {
    return await read(await request);
  } catch (error) {
    if (error instanceof Refused) throw error;
    connection.dispatchEvent(new Event("lost"));
    throw new Refused("firstscan review does not answer; nothing that was done before is lost.", { lost: true });
  }
};

export const address = (what, values = {}) => {
  const query = new URLSearchParams(values).toString();
  return query ? `api/${what}?${query}` : `api/${what}`;
};

export const get = (what, values = {}) => ask(fetch(address(what, values)));

// What early.js has asked for; each answer is good for once.
export const first = (what) => {
  const asked = window.early?.[what] ?? fetch(address(what));
  delete window.early?.[what];
  return ask(asked);
};

export const send = (what, body) =>
  ask(fetch(address(what), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));

export const act = (body) => send("act", body);
