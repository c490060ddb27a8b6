// Questions to PNS, by POST: for whom the cookies or headers speak, and the requests that no WebSocket carries.

import { OPENING_MS, SECOND, parse } from "./surroundings.js";

/** POST to PNS, as the page or the worker that this runs in; with `headers` of the page's, instead of cookies. */
export class Calls {
  #url;
  #env;
  #headers;
  #heard;
  #warned = new Set();
  #asked = 0;
  #answered = 0; // the newest question that was answered without a doubt
  #newest; // with this

  /** `heard` is told of each answer, before whoever asked is. */
  constructor(url, env, headers, heard) {
    this.#url = url;
    this.#env = env;
    this.#headers = headers;
    this.#heard = heard;
    this.tickets = !!headers;
  }

  /** `status` is 0 when nothing came back. */
  async post(path, body) {
    const abort = new AbortController();
    const timer = this.#env.setTimeout(() => abort.abort(), OPENING_MS);
    const message = path !== "/subscribe";
    try {
      const headers = this.#headers && (await this.#given(abort.signal));
      const response = await this.#env.fetch(this.#url + path, {
        method: "POST",
        credentials: headers ? "omit" : "include",
        // A string goes as text/plain, which needs no preflight; what a page says as its last is still sent.
        headers: body && !message ? { ...headers, "content-type": "application/json" } : headers,
        body,
        keepalive: message,
        signal: abort.signal,
      });
      const after = response.headers.get("retry-after") * SECOND || 0;
      const text = await response.text();
      const said = parse(text) ?? {};
      if (said.detail) this.#warn(said.detail);
      return { status: response.status, body: said, text, after };
    } catch {
      return { status: 0, body: {}, after: 0 };
    } finally {
      this.#env.clearTimeout(timer);
    }
  }

  /** Whose this browser is: `user`, "" for nobody; without a `user` it is in doubt. Never older than what was heard. */
  async question(renew) {
    const number = ++this.#asked;
    const answer = await this.#put(renew);
    if (answer.user === undefined) return answer;
    if (number > this.#answered) {
      this.#answered = number;
      this.#newest = answer;
      this.#heard?.(answer);
    }
    return this.#newest;
  }

  async #put(renew) {
    const { tickets } = this;
    const wish = tickets && JSON.stringify({ ticket: true, renew, device_token: this.#token() });
    const { status, body, after } = await this.post("/subscribe", wish || undefined);
    const { code, ticket } = body;
    if (status === 200 && body.heartbeat_seconds > 0 && (ticket || !tickets)) {
      this.#token(body.device_token);
      return {
        user: body.user_id,
        silence: (1.5 * body.heartbeat_seconds + 5) * SECOND,
        ticket,
        renewal: body.renew_seconds,
      };
    }
    if (status === 401 || (status === 403 && code !== "origin_not_allowed")) {
      const { location } = this.#env;
      if (location && !tickets && siteOf(location) !== siteOf(new URL(this.#url))) {
        this.#warn(`${location.origin} and ${this.#url} are two sites: set "headers"`);
      }
      return { user: "", problem: code ?? "unauthorized" };
    }
    if (!status || status === 429 || status >= 500) return { state: "offline", problem: code ?? "unreachable", after };
    if (!code) {
      this.#warn(
        `POST ${this.#url}/subscribe answered ${status}, not as PNS${tickets ? " with tickets" : ""}: set "url"`,
      );
    }
    return { state: "error", problem: code ?? "not_pns", after };
  }

  async #given(signal) {
    try {
      return { ...(await Promise.race([this.#headers(), new Promise((_, no) => (signal.onabort = no))])) };
    } catch (error) {
      this.#warn(`headers() failed: ${error}`);
      throw error;
    }
  }

  /** What names this device instead of a cookie; of this tab alone, so that two tabs may be two users. */
  #token(fresh) {
    try {
      const storage = this.#env.storage();
      const name = `pns ${this.#url}`;
      if (fresh) storage.setItem(name, fresh);
      return storage.getItem(name) ?? undefined;
    } catch {} // the browser keeps nothing here
  }

  #warn(text) {
    if (!this.#warned.has(text)) this.#env.warn(`PNS: ${text}`);
    this.#warned.add(text);
  }
}

/** About what browsers take for one site; they know all names under which anybody may have one. */
function siteOf({ protocol, hostname }) {
  return protocol + /[^.]*\.?((com?|net|org|ac|gov|edu)\.)?[^.]+$/.exec(hostname);
}
