// Whatever carries the line of several pages may die, hang or freeze: each page finds out by itself, and goes on.

import assert from "node:assert/strict";
import { test } from "node:test";

import { URL_, World, settle, version } from "./world.js";

const WORKER = `${URL_}/worker-${version}.js`;
const LIMIT = 60_000; // without a word
const TWICE = 3_000; // asked, and asked again
const WAYS = [["worker", { worker: true, locks: true }], ["locks", { locks: true }]];
const ids = (items) => items.map((item) => item.notification_id);

/** How the carrier of a way ends, for two pages or more of which the first is `first`. */
const ENDS = [
  ["a worker that died", WAYS[0][1], (world) => world.kill(WORKER)],
  ["a worker that hangs", WAYS[0][1], (world) => world.workers.get(WORKER).environment.pause()],
  ["a leader that is busy", WAYS[1][1], (world, first) => first.environment.pause()],
  ["a leader that is frozen", WAYS[1][1], (world, first) => first.environment.freeze()],
];

/** Three tabs, the first of which leads where one does, with one notification that all know. */
async function browser(way, heartbeat = 45) {
  const world = new World();
  world.pns.heartbeat = heartbeat;
  world.pns.unseen = ["a"];
  const tabs = [];
  for (let n = 0; n < 3; n++) tabs.push(await world.tab(way, { follow: true }));
  return { world, tabs, others: tabs.slice(1) };
}

function assertWhole(world, tabs, expected) {
  for (const { client, arrived, log } of tabs) {
    assert.deepEqual([client.state, client.count], ["live", expected.length]);
    assert.deepEqual(arrived, expected, "nothing is lost or told twice");
    assert.ok(!log.includes(0) && !log.includes("logged-out"), "the count never falls in between");
  }
}

const REASONS = [
  ["focus", ({ environment }) => environment.window.dispatchEvent(new Event("focus"))],
  ["visibilitychange", ({ environment }) => environment.document.dispatchEvent(new Event("visibilitychange"))],
  ["online", ({ environment }) => environment.window.dispatchEvent(new Event("online"))],
  ["connect()", ({ client }) => client.connect()],
  ["wake(), as an opened panel does", ({ client }) => client.wake()],
  ["a request", ({ client }) => void client.unseen({ ack: true })],
];

for (const [what, way, end] of ENDS) {
  for (const [heartbeat, limit] of [[45, LIMIT], [2, 8_000], [3600, LIMIT]]) {
    test(`${what}: found out within the limit of silence, at a heartbeat of ${heartbeat} s`, async () => {
      const { world, tabs, others } = await browser(way, heartbeat);
      end(world, tabs[0]);
      world.pns.notify("b");
      await settle();
      for (const { client } of others) assert.equal(client.count, 1);
      await world.clock.advance(limit);
      assertWhole(world, others, ["a", "b"]);
      world.pns.notify("c");
      await settle();
      assertWhole(world, others, ["a", "b", "c"]);
    });
  }

  for (const [reason, act] of REASONS) {
    test(`${what}: ${reason} finds out at once`, async () => {
      const { world, tabs, others } = await browser(way);
      await world.clock.advance(5_000);
      end(world, tabs[0]);
      world.pns.notify("b");
      await settle();
      act(others[0]);
      // Asking again and again does not put off the end.
      for (let n = 0; n < 6; n++) {
        await world.clock.advance(TWICE / 6);
        act(others[0]);
      }
      await settle();
      assertWhole(world, others.slice(0, 1), ["a", "b"]);
    });
  }

  test(`${what}: a new page is live within ten seconds, and all share one connection again`, async () => {
    const { world, tabs, others } = await browser(way);
    end(world, tabs[0]);
    const late = await world.tab(way);
    await world.clock.advance(10_000);
    assert.deepEqual([late.client.state, late.client.count], ["live", 1]);
    await world.clock.advance(LIMIT);
    assertWhole(world, others, ["a"]);
  });

  test(`${what}: a request in flight is asked again within ten seconds, and answered`, async () => {
    const { world, tabs, others } = await browser(way);
    world.pns.silent = true;
    const [asked, marked] = [others[0].client.unseen({ ack: true }), others[1].client.seen({ before: "" })];
    await settle();
    world.pns.silent = false;
    end(world, tabs[0]);
    await world.clock.advance(10_000);
    assert.deepEqual(ids(await asked), ["a"]);
    assert.deepEqual(await marked, []);
  });
}

test("a worker that only hung keeps no connection for pages that went another way", async () => {
  const { world, tabs } = await browser(WAYS[0][1]);
  const { environment } = world.workers.get(WORKER);
  environment.pause();
  await world.clock.advance(LIMIT);
  assert.equal(world.pns.open.length, 2);
  environment.resume();
  await settle();
  assert.equal(world.pns.open.length, 1);
  assertWhole(world, tabs, ["a"]);
});

test("a leader that is back is no leader any more: it shows what the others show", async () => {
  const { world, tabs } = await browser(WAYS[1][1]);
  for (const leader of [0, 1, 0, 2]) {
    tabs[leader].environment.pause();
    world.pns.notify(`b${world.pns.unseen.length}`);
    await world.clock.advance(LIMIT + TWICE);
    tabs[leader].environment.resume();
    await settle();
    await world.clock.advance(1_000);
    assertWhole(world, tabs, [...world.pns.unseen]);
    assert.equal(world.pns.open.length, 1);
  }
});

test("what a leader says that does not know yet of another is nobody's", async () => {
  const { world, tabs, others } = await browser(WAYS[1][1]);
  const [old] = world.pns.open;
  tabs[0].environment.pause();
  await world.clock.advance(LIMIT);
  old.say({ newNotificationCountChanged: 7 });
  tabs[0].environment.resume();
  await settle();
  assertWhole(world, others, ["a"]);
  assert.ok(!others.some(({ log }) => log.includes(7)));
});

test("a page that was frozen or busy itself gives up nobody", async () => {
  for (const [, way] of WAYS) {
    const { world, tabs } = await browser(way, 3600);
    const { client, environment } = tabs[2];
    client.wake();
    environment.pause();
    await world.clock.advance(3_600_000);
    environment.resume();
    await settle();
    await world.clock.advance(TWICE);
    assert.equal(world.pns.lines.length, 1);
    assertWhole(world, tabs, ["a"]);
  }
});

test("a page whose leader freezes while it is told so: another leads in the same moment", async () => {
  for (const [, way] of WAYS) {
    const { world, tabs, others } = await browser(way);
    const { environment, client } = tabs[0];
    environment.document.dispatchEvent(new Event("freeze"));
    environment.pause();
    world.pns.notify("b");
    await settle();
    assertWhole(world, others, ["a", "b"]);
    assert.equal(world.pns.open.length, 1);
    assert.deepEqual([client.state, client.count], ["live", 1], "what it shows stays");
    environment.resume();
    environment.document.dispatchEvent(new Event("resume"));
    await settle();
    assertWhole(world, tabs, ["a", "b"]);
    assert.equal(world.pns.open.length, 1);
  }
});

test("a page that is resumed after another user's login shows what it is answered", async () => {
  for (const [, way] of WAYS) {
    const { world, tabs } = await browser(way);
    const { environment, client } = tabs[0];
    environment.document.dispatchEvent(new Event("freeze"));
    world.pns.userId = "";
    environment.document.dispatchEvent(new Event("resume"));
    await settle();
    assert.deepEqual([client.state, client.count, client.userId], ["logged-out", 0, ""]);
  }
});

test("no page asks a line that speaks, nor one of its own", async () => {
  const { world, tabs } = await browser(WAYS[0][1]);
  const questions = world.pns.posts.length;
  for (let n = 0; n < 10; n++) {
    await world.clock.advance(45_000);
    world.pns.tell();
    await settle();
  }
  assertWhole(world, tabs, ["a"]);
  assert.equal(world.pns.lines.length, 1);
  assert.equal(world.pns.posts.length, questions);
});
