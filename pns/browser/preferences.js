// A user's preferences: which channels of which categories are on. A page that shows them loads this file.
//
// Whose page it is, the page's client says: nothing is shown or changed while the cookies speak for somebody else.
// preferences.d.ts says what a page may rely on.

import { Asking } from "./asking.js";

export class Preferences {
  #asking;

  constructor(client, options) {
    this.#asking = new Asking(client, options);
  }

  async read() {
    return this.#call("GET");
  }

  async change(preferences) {
    return this.#call("PATCH", { preferences });
  }

  async #call(method, body) {
    const { user } = this.#asking;
    // Cookies may be somebody else's by now: neither are that user's preferences changed, nor are they shown here.
    if (body) await this.#asking.prove(user);
    const { preferences } = await this.#asking.ask("/preferences", method, body);
    await this.#asking.prove(user);
    return preferences;
  }
}
