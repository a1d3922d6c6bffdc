// Requests to the server that sent this page; every address is relative, so that the key in it goes along.

export class Refused extends Error {
  constructor(message, stale) {
    super(message);
    this.stale = stale;
  }
}

const read = async (response) => {
  const body = await response.json().catch(() => ({ message: "The server has sent something unreadable." }));
  if (!response.ok) throw new Refused(body.message ?? `The server answers ${response.status}.`, body.stale === true);
  return body;
};

const ask = async (address, options) => {
  try {
    return await read(await fetch(address, options));
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("firstscan review has ended. Start it again in the terminal; nothing that was done is lost.");
  }
};

export const address = (what, values = {}) => {
  const query = new URLSearchParams(values).toString();
  return query ? `api/${what}?${query}` : `api/${what}`;
};

export const get = (what, values = {}, options = {}) => ask(address(what, values), options);

export const act = (body) =>
  ask(address("act"), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
