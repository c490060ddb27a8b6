// Questions of a page to PNS beside its connection, as the user whose page it is and as nobody else: the part that
// preferences.js and snooze.js share.

import { PNSError } from "./client.js";

const REQUEST_MS = 10_000; // an answer that takes longer is given up

export class Asking {
  #client;
  #headers;
  #fetch;

  constructor(client, { headers, environment } = {}) {
    this.#client = client;
    this.#headers = headers;
    this.#fetch = environment?.fetch ?? ((...call) => globalThis.fetch(...call));
  }

  /** Whose page it is. Throws for nobody's. */
  get user() {
    const user = this.#client.userId;
    if (!user) throw new PNSError("unauthorized");
    return user;
  }

  /** The cookies speak for `user`, by now. Throws where they do not. */
  async prove(user) {
    const { user_id: now } = await this.ask("/subscribe", "POST");
    if (now === user && this.#client.userId === user) return;
    this.#client.connect();
    throw new PNSError("user_changed");
  }

  async ask(path, method, body) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), REQUEST_MS);
    try {
      const headers = this.#headers && (await this.#headers());
      const response = await this.#fetch(this.#client.url + path, {
        method,
        credentials: headers ? "omit" : "include",
        headers: body ? { ...headers, "content-type": "application/json" } : headers,
        body: body && JSON.stringify(body),
        signal: abort.signal,
      });
      const said = await response.json().catch(() => ({}));
      if (response.ok) return said;
      if (response.status === 401) this.#client.connect();
      throw new PNSError(said.code ?? "unreachable", said.detail);
    } catch (error) {
      throw error instanceof PNSError ? error : new PNSError("unreachable");
    } finally {
      clearTimeout(timer);
    }
  }
}
