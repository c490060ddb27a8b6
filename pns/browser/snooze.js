// Snoozing: a notification leaves the inbox on all devices, and comes back unseen at its time. A page that offers it
// loads this file.
//
// Whose page it is, the page's client says: nothing is snoozed while the cookies speak for somebody else. snooze.d.ts
// says what a page may rely on.

import { Asking } from "./asking.js";

const HOUR_MS = 3_600_000;
const MORNING = 9;
const NOBODYS = ""; // no notification has this id
const PAST = new Date(0);

export class Snooze {
  #asking;
  #turn = Promise.resolve(); // of two calls the later one counts: none overtakes another

  constructor(client, options) {
    this.#asking = new Asking(client, options);
  }

  async isKnown() {
    try {
      await this.#ask(NOBODYS, PAST);
    } catch (error) {
      if (error.code === "unknown_notification") return true;
      if (error.code !== "invalid") throw error;
    }
    return false;
  }

  until(id, date) {
    return this.#next(id, date);
  }

  back(id) {
    return this.#next(id, PAST);
  }

  async #next(id, date) {
    const { user } = this.#asking;
    const before = this.#turn;
    const turn = before.then(async () => {
      // Cookies may be somebody else's by now, who may have a notification with the same id.
      await this.#asking.prove(user);
      return this.#ask(id, date);
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #ask(id, date) {
    const snoozeNotification = { id, until: date.toISOString() };
    return (await this.#asking.ask("/messages", "POST", { snoozeNotification })).notificationSnoozed;
  }
}

export function snoozeTimes(now = new Date()) {
  // By the fields of the calendar: a day has 23 or 25 hours where the clocks change.
  const morning = (days) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, MORNING);
  return {
    hour: new Date(now.getTime() + HOUR_MS),
    tomorrow: morning(1),
    // A Monday, and on a Sunday not the one that is tomorrow.
    week: morning(8 - now.getDay()),
  };
}
