// The page's title has one owner: bells that agree on it, other scripts that write it, titles that are put back.

import assert from "node:assert/strict";
import { test } from "node:test";

/** A page whose observers run as in a browser: after what is under way, again and again while the title changes. */
function makePage(title) {
  const observers = new Set();
  const page = { writes: 0, timers: [], now: 0 };
  let text = title;
  const turn = () => queueMicrotask(() => {
    page.writes++;
    if (page.writes > 1000) throw new Error("an endless loop");
    for (const observer of observers) observer();
  });
  const document = {
    head: {},
    get title() { return text; },
    set title(words) {
      text = words.trim().replace(/\s+/g, " ");
      turn();
    },
  };
  globalThis.document = document;
  globalThis.MutationObserver = class {
    constructor(act) { this.act = act; }
    observe() { observers.add(this.act); }
    disconnect() { observers.delete(this.act); }
  };
  Object.defineProperty(globalThis, "performance", { configurable: true, value: { now: () => page.now } });
  globalThis.setTimeout = (callback, milliseconds) => page.timers.push({ callback, at: page.now + milliseconds });
  globalThis.clearTimeout = (timer) => { if (timer) page.timers[timer - 1] = null; };
  /** Time passes, and the page changes nothing in it. */
  page.pass = async (milliseconds) => {
    const until = page.now + milliseconds;
    for (let next; (next = page.timers.findIndex((timer) => timer && timer.at <= until)) >= 0; ) {
      const { callback, at } = page.timers[next];
      page.timers[next] = null;
      page.now = at;
      callback();
      await quiet();
    }
    page.now = until;
  };
  page.script = (act) => observers.add(act);
  page.set = async (words, after = 1000) => {
    await page.pass(after);
    document.title = words;
    await quiet();
  };
  return page;
}

const quiet = () => new Promise((resolve) => setImmediate(resolve));
let pages = 0;
/** A page with this title, and its own instance of what marks it. */
async function opened(title = "Shop") {
  const page = makePage(title);
  const { entitle } = await import(`../../pns/browser/bell-title.js?${++pages}`);
  const count = async (bell, number) => {
    entitle(bell, number === null ? null : number ? `(${number}) ` : "", number);
    await quiet();
  };
  return { page, count };
}
const shown = () => globalThis.document.title;

test("two bells write one mark, and the title is the page's again without them", async () => {
  const { page, count } = await opened();
  const [desktop, mobile] = [{}, {}];
  for (const number of [3, 4, 4, 0, 2]) {
    await count(desktop, number);
    await count(mobile, number);
    assert.equal(shown(), number ? `(${number}) Shop` : "Shop");
  }
  await count(desktop, null);
  assert.equal(shown(), "(2) Shop");
  await count(mobile, null);
  assert.equal(shown(), "Shop");
  assert.ok(page.writes < 12, `${page.writes}`);
});

test("two bells that do not agree: the highest count", async () => {
  const { count } = await opened();
  const [one, other] = [{}, {}];
  await count(one, 3);
  await count(other, 0);
  assert.equal(shown(), "(3) Shop");
  await count(other, 5);
  assert.equal(shown(), "(5) Shop");
});

const PREFIXES = [
  ["* ", (title) => (title.startsWith("* ") ? title : `* ${title}`), "* (3) Shop", "* (5) Shop"],
  ["● ", (title) => (title.startsWith("● ") ? title : `● ${title}`), "● (3) Shop", "● (5) Shop"],
  ["(1) ", (title) => (title.startsWith("(1) ") ? title : `(1) ${title.replace(/^\(\d+\) /, "")}`), "(1) (3) Shop", "(1) (5) Shop"],
  [" - ACME", (title) => (title.endsWith(" - ACME") ? title : `${title} - ACME`), "(3) Shop - ACME", "(5) Shop - ACME"],
];

for (const first of [true, false]) {
  for (const [kept, keep, three, five] of PREFIXES) {
    test(`a script that keeps "${kept}" in the title (${first ? "before" : "after"} the bell)`, async () => {
      const { page, count } = await opened();
      const act = () => {
        if (keep(shown()) !== shown()) globalThis.document.title = keep(shown());
      };
      const bell = {};
      if (first) page.script(act);
      await count(bell, 0);
      if (!first) page.script(act);
      await count(bell, 3);
      assert.ok(shown() === three || shown() === `(3) ${keep("Shop")}`, shown());
      await page.pass(1000);
      await count(bell, 5);
      assert.ok(shown() === five || shown() === `(5) ${keep("Shop")}`, shown());
      await page.set("Basket");
      assert.match(shown(), /^\D*(\(1\) )?\D*\(5\) .*Basket/);
      assert.equal(shown().match(/\(5\)/g).length, 1);
      assert.ok(page.writes < 20, `${page.writes}`);
    });
  }
}

test("what a script keeps before the title stands there once, also where it came before the bell", async () => {
  const { page, count } = await opened("* Shop");
  page.script(() => {
    if (!shown().startsWith("* ")) document.title = `* ${shown()}`;
  });
  await count({}, 1);
  assert.equal(shown(), "* (1) Shop");
  await page.set("Basket");
  assert.equal(shown(), "* (1) Basket");
  assert.ok(page.writes < 12, page.writes);
});

test("a script that wants the title for itself gets it", async () => {
  for (const words of [() => "* Shop", () => `Shop at ${Math.random()}`]) {
    const { page, count } = await opened();
    let wanted = "Shop";
    page.script(() => {
      if (shown() !== wanted) globalThis.document.title = wanted = words();
    });
    await count({}, 3);
    assert.equal(shown(), wanted);
    const before = page.writes;
    assert.ok(before < 10, `${before}`);
    await page.pass(3_600_000);
    assert.ok(page.writes - before < 40, `${page.writes - before} in an hour`);
  }
});

test("a script that writes its title every second is not answered every second", async () => {
  const { page, count } = await opened();
  await count({}, 3);
  const before = page.writes;
  for (let second = 0; second < 600; second++) await page.set("Shop");
  assert.ok(page.writes - before < 600 + 20, `${page.writes - before - 600}`);
  await page.set("Basket");
  assert.equal(shown(), "(3) Basket");
});

for (const [before, now, expected] of [
  [3, 5, "(5) Shop"],
  [5, 3, "(3) Shop"],
  [3, 0, "Shop"],
  [3, 3, "(3) Shop"],
]) {
  test(`a title of ${before} that is put back while ${now} is the count`, async () => {
    const { page, count } = await opened();
    const bell = {};
    await count(bell, before);
    const kept = shown();
    await page.set("Basket");
    await count(bell, now);
    await page.set(kept);
    assert.equal(shown(), expected);
  });

  test(`the same, with another bell for another page (${before}, ${now})`, async () => {
    const { page, count } = await opened();
    const [old, fresh] = [{}, {}];
    await count(old, before);
    const kept = shown();
    await count(old, null);
    await page.set("Basket");
    await page.set(kept);
    await count(fresh, 0);
    assert.equal(shown(), "Shop");
    await count(fresh, now);
    assert.equal(shown(), expected);
  });
}

test("a page that changes its title as it likes keeps its mark", async () => {
  const { page, count } = await opened();
  await count({}, 3);
  for (const words of ["Basket", "Shop", "Shop", "My Shop", "Order 3 (3)", "(2) Offers"]) {
    await page.set(words);
    assert.equal(shown(), `(3) ${words}`);
  }
  for (const words of ["Loading", "Loading more", "Loaded", "Done"]) await page.set(words, 20);
  await page.pass(10_000);
  assert.equal(shown(), "(3) Done");
});

test("a page without a title of its own", async () => {
  const { page, count } = await opened("");
  const bell = {};
  await count(bell, 3);
  assert.equal(shown(), "(3)");
  await count(bell, 12);
  assert.equal(shown(), "(12)");
  await page.set("Shop");
  assert.equal(shown(), "(12) Shop");
  await count(bell, 0);
  assert.equal(shown(), "Shop");
});
