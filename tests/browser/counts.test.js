// What is counted beside what is unseen: told to the pages that asked, of the categories that they named.

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, settle } from "./world.js";

const WAYS = [["worker", { worker: true, locks: true }], ["locks", { locks: true }], ["alone", {}]];
const asked = ({ pns }) =>
  pns.lines
    .flatMap(({ sent }) => sent ?? [])
    .map((text) => JSON.parse(text).countsRequest)
    .filter(Boolean);

/** A tab that follows these categories, or all; `told` is each detail of its event. */
async function following(world, way, categories, options) {
  const tab = await world.tab(way, options);
  tab.told = [];
  tab.client.addEventListener("counts", ({ detail }) => {
    tab.told.push(detail);
    assert.equal(detail, tab.client.counts);
    if (detail) assert.equal(detail.unseen, tab.client.count);
  });
  for (const type of ["user", "count", "state"]) {
    tab.client.addEventListener(type, () => {
      const { count, counts } = tab.client;
      if (counts) assert.equal(counts.unseen, count, `both are one at ${type}`);
    });
  }
  tab.client.followCounts(categories);
  await settle();
  return tab;
}

for (const [name, way] of WAYS) {
  test(`${name}: all with something unread, at once and after every change`, async () => {
    const world = new World();
    world.pns.unseen = ["comments/1", "plain"];
    world.pns.seen = ["orders/1"];
    const { client, told } = await following(world, way);
    const orders = { unseen: 0, unread: 1 };
    assert.deepEqual(client.counts, {
      unseen: 2,
      unread: 3,
      categories: { comments: { unseen: 1, unread: 1 }, orders },
      version: 0,
    });
    world.pns.notify("comments/2");
    await settle();
    assert.deepEqual(client.counts.categories, { comments: { unseen: 2, unread: 2 }, orders });
    await client.mark({ as: "read", ids: ["orders/1"] });
    await settle();
    assert.deepEqual([client.count, client.counts.unread], [3, 3]);
    assert.deepEqual(told.map(({ unread }) => unread), [3, 4, 3], "a change each");
  });

  test(`${name}: pages that name different categories each get theirs, by one request for all`, async () => {
    const world = new World();
    world.pns.unseen = ["a/1", "b/1", "b/2"];
    const first = await following(world, way, ["a", "none"]);
    const second = await following(world, way, ["b"]);
    const third = await world.tab(way);
    assert.deepEqual(first.client.counts.categories, { a: { unseen: 1, unread: 1 }, none: { unseen: 0, unread: 0 } });
    assert.deepEqual(second.client.counts.categories, { b: { unseen: 2, unread: 2 } });
    assert.equal(third.client.counts, null, "it did not ask");
    if (name !== "alone") assert.deepEqual(asked(world).at(-1), { categories: ["a", "none", "b"] });
    world.pns.notify("a/2");
    await settle();
    assert.deepEqual(first.client.counts.categories.a, { unseen: 2, unread: 2 });
    assert.equal(first.told.length, 2);
    assert.equal(asked(world).length, 2, "nothing is asked twice");
  });

  test(`${name}: one page asks for all, and another names some`, async () => {
    const world = new World();
    world.pns.unseen = ["a/1", "b/1"];
    const some = await following(world, way, ["b", "none"]);
    const all = await following(world, way);
    assert.deepEqual(Object.keys(all.client.counts.categories), ["a", "b"]);
    world.pns.notify("b/2");
    await settle();
    assert.deepEqual(some.client.counts.categories.b, { unseen: 2, unread: 2 });
    assert.equal(some.client.counts.categories.a, undefined, "nobody here asked for it");
    assert.equal(some.client.counts.unread, 3);
  });

  test(`${name}: who does not ask costs nothing`, async () => {
    const world = new World();
    world.pns.unseen = ["a/1"];
    const { client } = await world.tab(way);
    client.addEventListener("counts", () => assert.fail("nobody asked"));
    world.pns.notify("a/2");
    await settle();
    assert.equal(client.counts, null);
    assert.deepEqual(asked(world), []);
  });

  test(`${name}: a new connection is asked again`, async () => {
    const world = new World();
    world.pns.unseen = ["a/1"];
    const { client, told } = await following(world, way, ["a"]);
    world.pns.lines[0].end(1006);
    world.pns.unseen.push("a/2");
    await world.clock.advance(250);
    assert.equal(world.pns.lines.length, 2);
    assert.deepEqual([client.count, client.counts.categories.a], [2, { unseen: 2, unread: 2 }]);
    assert.deepEqual(asked(world), [{ categories: ["a"] }, { categories: ["a"] }]);
    assert.equal(told.at(-1).unseen, 2);
  });

  test(`${name}: nothing is left of a user who has logged out, or of another`, async () => {
    const world = new World();
    world.pns.unseen = ["a/1"];
    const { client, told } = await following(world, way);
    client.addEventListener("user", () => assert.equal(client.counts, null));
    world.pns.userId = "bob";
    world.pns.unseen = ["b/1", "b/2"];
    client.connect();
    await settle();
    assert.deepEqual(told.map((counts) => counts && Object.keys(counts.categories)), [["a"], null, ["b"]]);
    world.pns.userId = "";
    client.connect();
    await settle();
    assert.deepEqual([client.state, client.counts], ["logged-out", null]);
    client.disconnect();
    assert.equal(client.counts, null);
  });

  test(`${name}: a node of the release before knows none, and all the rest goes on`, async () => {
    const world = new World();
    world.pns.unseen = ["a/1"];
    const { client } = await following(world, way, ["a"]);
    world.pns.countless = true;
    world.pns.lines[0].end(1006);
    await world.clock.advance(250);
    assert.deepEqual([client.state, client.count, client.counts], ["live", 1, null]);
    world.pns.notify("a/2");
    await settle();
    assert.equal(client.count, 2);
    assert.equal((await client.unseen({ ack: true })).length, 2);
  });
}

test("a page that asks before it has a connection", async () => {
  const world = new World();
  world.pns.unseen = ["a/1"];
  const { client } = await world.tab({}, { connect: false });
  client.followCounts(["a"]);
  client.connect();
  await settle();
  assert.deepEqual(client.counts.categories, { a: { unseen: 1, unread: 1 } });
});

test("other categories later, and names that every object has", async () => {
  const world = new World();
  world.pns.unseen = ["a/1", "constructor/1"];
  const { client } = await following(world, {}, ["a"]);
  client.followCounts(["constructor", "toString"]);
  await settle();
  assert.deepEqual(client.counts.categories, {
    constructor: { unseen: 1, unread: 1 },
    toString: { unseen: 0, unread: 0 },
  });
  client.followCounts([]);
  await settle();
  assert.deepEqual(Object.keys(client.counts.categories), ["a", "constructor"]);
});

test("a union of more than PNS takes: the first 64", async () => {
  const world = new World();
  const names = Array.from({ length: 80 }, (_, n) => `c${n}`);
  await following(world, {}, names);
  assert.deepEqual(asked(world), [{ categories: names.slice(0, 64) }]);
});

test("more categories than are told", async () => {
  const world = new World();
  world.pns.unseen = Array.from({ length: 70 }, (_, n) => `c${n}/1`);
  const { client } = await following(world, {});
  assert.equal(Object.keys(client.counts.categories).length, 64);
  assert.equal(client.counts.more, true);
});

for (const first of [true, false]) {
  test(`events tell them from their beginning (${first ? "asked before" : "asked later: opened anew"})`, async () => {
    const world = new World();
    world.pns.unseen = ["a/1", "b/1"];
    world.pns.blocked.add("websocket");
    const { client } = await world.tab({}, { connect: false });
    if (first) client.followCounts(["b"]);
    client.connect();
    await settle();
    await world.clock.advance(750);
    if (!first) client.followCounts(["b"]);
    await settle();
    const [line] = world.pns.open;
    assert.match(line.url, /\/subscribe\?counts=true$/);
    assert.deepEqual(client.counts, { unseen: 2, unread: 2, categories: { b: { unseen: 1, unread: 1 } }, version: 0 });
    world.pns.notify("b/2");
    await settle();
    assert.deepEqual([client.count, client.counts.categories.b.unread], [3, 2]);
    assert.equal(world.pns.open.length, 1);
  });
}

test("events of a client with tickets", async () => {
  const world = new World();
  world.pns.blocked.add("websocket");
  const options = { connect: false, headers: async () => ({ authorization: "ann" }) };
  const { client } = await world.tab({}, options);
  world.pns.inboxOf("ann").unseen = ["a/1"];
  client.followCounts();
  client.connect();
  await settle();
  await world.clock.advance(750);
  assert.match(world.pns.open[0].url, /\?ticket=ticket-\d+&counts=true$/);
  assert.deepEqual(client.counts.categories, { a: { unseen: 1, unread: 1 } });
});

test("requests beside: each gets its own answer, whatever is told between", async () => {
  const world = new World();
  world.pns.seen = ["a/0"];
  const { client } = await following(world, {}, ["a"]);
  world.pns.silent = true;
  const [line] = world.pns.lines;
  const answers = [client.seen(), client.mark({ as: "read", ids: ["a/0"] })];
  await settle();
  world.pns.notify("a/1");
  await settle();
  assert.equal(client.counts.unread, 2);
  world.pns.silent = false;
  line.say({ seenNotificationData: [{ notification_id: "a/0" }] });
  await settle();
  assert.deepEqual(await Promise.all(answers), [[{ notification_id: "a/0" }], { as: "read", changed: 0 }]);
});

test("too busy to answer: the counts come later", async () => {
  const world = new World();
  const { answer } = world.pns;
  let busy = true;
  world.pns.answer = (message, ...rest) =>
    busy ? { error: { code: "unavailable" } } : answer.call(world.pns, message, ...rest);
  const { client } = await following(world, {}, ["a"]);
  assert.deepEqual([client.state, client.counts], ["live", null]);
  await world.clock.advance(40_000);
  busy = false;
  await world.clock.advance(1000);
  assert.deepEqual(client.counts.categories, { a: { unseen: 0, unread: 0 } });
});
