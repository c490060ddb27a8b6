// The inbox of one page for whichever framework: one client for each address, made at the first use in a browser.

import { PNSClient } from "../client.js";

/** What a server renders, and what is known before the first answer. */
export const NOTHING = Object.freeze({ count: 0, state: "connecting", userId: "", counts: null, client: null });

const inboxes = new Map();

/** The inbox at `url`: `subscribe(changed)` until the returned function is called, and `snapshot()`. */
export function inbox(url, options = {}) {
  if (!inboxes.has(url)) inboxes.set(url, new Inbox(url, options));
  return inboxes.get(url);
}

class Inbox {
  #url;
  #options;
  #client = null;
  #listeners = new Set();
  #snapshot = NOTHING;

  constructor(url, options) {
    this.#url = url;
    this.#options = options;
  }

  // The first to subscribe connects, the last to leave disconnects.
  subscribe = (changed) => {
    this.#listeners.add(changed);
    if (!this.#client) this.#connect();
    return () => {
      this.#listeners.delete(changed);
      if (!this.#listeners.size) this.#disconnect();
    };
  };

  // The same object until something changed, as React asks for.
  snapshot = () => this.#snapshot;

  #connect() {
    const { categories, ...options } = this.#options;
    const client = (this.#client = new PNSClient(this.#url, options));
    if (categories) client.followCounts(categories === true ? undefined : categories);
    for (const type of ["user", "count", "counts", "state"]) client.addEventListener(type, () => this.#take(client));
    this.#take(client);
  }

  #take(client) {
    if (client !== this.#client) return;
    const { count, state, userId, counts } = client;
    this.#snapshot = Object.freeze({ count, state, userId, counts, client });
    for (const changed of this.#listeners) changed();
  }

  #disconnect() {
    const client = this.#client;
    this.#client = null;
    this.#snapshot = NOTHING;
    client.disconnect();
  }
}
