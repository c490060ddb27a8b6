// Every order of what may happen to a browser's login, in two tabs: no page ever shows, in any turn, a count or a
// notification of a user whom its own cookie did not name at its last answered question.
//
// Each user has a number of notifications that is nobody else's, and their ids say whose they are. What is looked
// at is each count, all counts and each notification as they are told, each answer as it comes, and what the getters say in between.

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, next, quiet } from "./world.js";

const SOAK = Boolean(process.env.PNS_SOAK);
const WAYS = [["worker", { worker: true, locks: true }], ["locks", { locks: true }], ["alone", {}]];
const COUNTS = { ann: 3, bob: 5 };
const PAUSE = 11_000; // longer than a page waits before it asks again

/** A browser with two places for tabs, and a watch over what they show. */
class Browser {
  tabs = [null, null];
  faults = new Set();
  world = new World();

  constructor(way) {
    this.way = way;
    this.world.pns.userId = "";
    this.world.pns.heartbeat = 3600;
    for (const [user, count] of Object.entries(COUNTS)) {
      this.world.pns.inboxOf(user).unseen = Array.from({ length: count }, (_, n) => `${user} ${n}`);
    }
  }

  open(place) {
    this.close(place);
    return this.world.tab(this.way, { follow: true }, (tab) => {
      this.tabs[place] = tab;
      tab.client.followCounts(place ? ["ann", "bob"] : undefined);
      for (const type of ["user", "count", "counts", "state"]) tab.client.addEventListener(type, () => this.#see(tab));
      tab.client.addEventListener("notifications", ({ detail }) => this.read(tab, detail.items));
    });
  }

  close(place) {
    this.tabs[place]?.environment.window.dispatchEvent(new Event("pagehide"));
    this.tabs[place] = null;
  }

  look() {
    for (const tab of this.tabs) if (tab) this.#see(tab);
  }

  #see(tab) {
    const { count, counts, userId } = tab.client;
    const named = tab.named ?? "nobody";
    if (count && count !== COUNTS[named]) this.faults.add(`shows a count of ${count} to ${named}`);
    if (counts && counts.unseen !== count) this.faults.add(`shows counts of ${counts.unseen} beside ${count}`);
    if (counts?.unseen && counts.unread !== COUNTS[named]) this.faults.add(`shows the counts of another to ${named}`);
    if (userId && userId !== named) this.faults.add(`shows ${userId} to ${named}`);
  }

  read(tab, items) {
    for (const { notification_id: id } of items) {
      if (!id.startsWith(`${tab.named} `)) this.faults.add(`shows "${id}" to ${tab.named}`);
    }
  }

  /** Each page loads its list, as an open panel does, while whatever comes goes on. */
  list() {
    for (const tab of this.tabs) tab?.client.unseen({ ack: true }).then((items) => this.read(tab, items), () => {});
  }
}

/** A login or a logout as applications have them: a form in one tab, which loads a page anew. */
const form = (user) => (browser, place) => {
  browser.world.pns.userId = user;
  if (browser.tabs[place]) browser.open(place);
};

const EVENTS = {
  "Ann logs in": form("ann"),
  "Bob logs in over her": form("bob"),
  logout: form(""),
  "session expired": (browser) => {
    browser.world.pns.userId = "";
    for (const line of browser.world.pns.open) line.end(4501);
  },
  "tab opened": (browser, place) => browser.open(place),
  "tab closed": (browser, place) => browser.close(place),
  focused: (browser, place) => {
    browser.world.clock.now += PAUSE;
    browser.tabs[place]?.environment.window.dispatchEvent(new Event("focus"));
  },
};

/** All orders of `length` events, each in one of `places`. */
function* orders(length, places) {
  if (!length) return yield [];
  for (const before of orders(length - 1, places)) {
    for (const name of Object.keys(EVENTS)) for (const place of places(before.length)) yield [...before, [name, place]];
  }
}

const BOTH = () => [0, 1];
const IN_TURN = (n) => [n % 2];

/**
 * The faults of one order, which begins with Ann in both tabs; `turns` are left to each event, by its place. Without
 * `turns` each event has all that it needs.
 */
async function faultsOf(way, order, turns) {
  const browser = new Browser(way);
  browser.world.pns.userId = "ann";
  for (const place of [0, 1]) await browser.open(place);
  for (const [n, [name, place]] of order.entries()) {
    EVENTS[name](browser, place);
    browser.list();
    const look = () => browser.look();
    if (!turns) await quiet(look);
    else for (let turn = 0; turn < turns(n); turn++) await next().then(look);
  }
  await quiet(() => browser.look());
  return [...browser.faults];
}

// What is seen on the way of a longer order includes every shorter one. A sixth of the orders of four events has every
// order of three events in it, each with one or two of the seven events behind it; the ways take other sixths.
const RUNS = SOAK
  ? [
      ["every order of four events", 4, IN_TURN],
      ["every order of three events, in either tab", 3, BOTH],
      ["every order of three events, in either tab, in a hurry", 3, BOTH, true],
      ["every order of five events", 5, IN_TURN],
      ["every order of five events, in a hurry", 5, IN_TURN, true],
    ]
  : [
      ["every sixth order of four events", 4, IN_TURN, false, 6],
      ["every order of three events, in a hurry", 3, IN_TURN, true],
    ];

/** The first orders of a run with faults, each with them. */
async function found(way, number, [, length, places, hurry, part = 1]) {
  const all = [];
  let nth = 0;
  // In a hurry no event waits for the end of another, and each order comes at other moments.
  const turns = hurry ? (n) => 1 + ((nth + 2 * n) % 5) : null;
  for (const order of orders(length, places)) {
    if (++nth % part !== number % part) continue;
    const faults = await faultsOf(way, order, turns);
    if (faults.length) all.push(`${order.map((event) => event.join(" in ")).join(", ")}: ${faults.join("; ")}`);
    if (all.length > 4) break;
  }
  return all;
}

// All is done before the first test: from then on Node follows each promise, for a third of the time.
const done = [];
for (const [number, [name, way]] of WAYS.entries()) {
  for (const run of RUNS) done.push([`${name}: ${run[0]}`, await found(way, number, run)]);
}
for (const [what, faults] of done) test(`${what}: nobody is shown another's`, () => assert.deepEqual(faults, []));
