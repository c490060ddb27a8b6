// One connection per browser: a SharedWorker, else a tab that leads, else one per tab.

import assert from "node:assert/strict";
import { test } from "node:test";

import { URL_, World, version, settle } from "./world.js";

const WORKER = `${URL_}/worker-${version}.js`;
const WAYS = [["worker", { worker: true, locks: true }], ["locks", { locks: true }]];
const ids = (items) => items.map((item) => item.notification_id);

for (const [name, way] of WAYS) {
  test(`${name}: five tabs hold one connection and show the same`, async () => {
    const world = new World();
    world.pns.unseen = ["a"];
    const tabs = [];
    for (let n = 0; n < 5; n++) tabs.push(await world.tab(way));
    assert.equal(world.pns.lines.length, 1);
    assert.deepEqual(tabs.map(({ client }) => [client.state, client.count]), Array(5).fill(["live", 1]));
    world.pns.notify("b");
    await settle();
    assert.deepEqual(tabs.map(({ client }) => client.count), Array(5).fill(2));
    assert.deepEqual(ids(await tabs[3].client.unseen()), ["a", "b"]);
    await settle();
    assert.deepEqual(tabs.map(({ client }) => client.count), Array(5).fill(0));
    assert.equal(tabs[0].arrived.length, 0, "an answer goes to the tab that asked");
  });

  test(`${name}: a state is everybody's`, async () => {
    const world = new World();
    const [first, second] = [await world.tab(way), await world.tab(way)];
    world.pns.refusal = "unreachable";
    world.pns.lines[0].end(1006);
    await settle();
    for (const { client } of [first, second]) {
      assert.equal(client.state, "offline");
      assert.equal(client.retryAt, world.clock.now + 250);
    }
    world.pns.refusal = null;
    second.client.connect();
    await settle();
    assert.deepEqual([first.client.state, second.client.state], ["live", "live"]);
    assert.equal(world.pns.open.length, 1);
  });

  test(`${name}: the connection ends with the last tab`, async () => {
    const world = new World();
    const [first, second] = [await world.tab(way), await world.tab(way)];
    first.client.disconnect();
    await settle();
    assert.equal(world.pns.open.length, 1);
    assert.equal(second.client.state, "live");
    second.environment.window.dispatchEvent(new Event("pagehide"));
    await settle();
    assert.equal(world.pns.open.length, 0);
    assert.equal(world.clock.timers.size, 0);
    second.environment.window.dispatchEvent(new Event("pageshow"));
    await settle();
    assert.equal(second.client.state, "live");
    assert.equal(world.pns.open.length, 1);
  });
}

test("the tab that leads closes: another takes over at once, nothing is lost or repeated", async () => {
  const world = new World();
  world.pns.unseen = ["a", "b"];
  const tabs = [];
  for (let n = 0; n < 3; n++) tabs.push(await world.tab({ locks: true }, { follow: true }));
  const [leader, ...others] = tabs;
  world.pns.silent = true;
  const asked = others[1].client.unseen({ ack: true });
  await settle();
  world.pns.silent = false;
  for (const { log } of tabs) log.length = 0;
  leader.environment.window.dispatchEvent(new Event("pagehide"));
  await settle();
  assert.equal(world.clock.now, 1_000_000, "no time has passed");
  assert.deepEqual(ids(await asked), ["a", "b"]);
  assert.equal(world.pns.lines.length, 2);
  assert.equal(world.pns.open.length, 1);
  world.pns.notify("c");
  await settle();
  for (const { client, arrived, log } of others) {
    assert.equal(client.count, 3);
    assert.deepEqual(arrived, ["a", "b", "c"]);
    assert.ok(!log.includes(0), "the count never falls in between");
  }
});

test("a tab that comes while another leads is told at once", async () => {
  const world = new World();
  world.pns.unseen = ["a"];
  await world.tab({ locks: true });
  const late = await world.tab({ locks: true });
  assert.deepEqual(late.log, [1, "live"]);
});

test("a worker that cannot be loaded gives way to locks", async () => {
  const world = new World();
  world.workers.set(WORKER, "broken");
  const tabs = [await world.tab(WAYS[0][1]), await world.tab(WAYS[0][1])];
  assert.deepEqual(tabs.map(({ client }) => client.state), ["live", "live"]);
  assert.equal(world.pns.lines.length, 1);
});

test("a worker of another origin gives way to locks", async () => {
  const world = new World();
  const SharedWorker = class {
    constructor() {
      throw new DOMException("not this origin", "SecurityError");
    }
  };
  const given = { locks: true, environment: { SharedWorker } };
  const tabs = [await world.tab(given), await world.tab(given)];
  assert.deepEqual(tabs.map(({ client }) => client.state), ["live", "live"]);
  assert.equal(world.pns.lines.length, 1);
});

test("the worker has this version's name, and is one for each PNS", async () => {
  const world = new World();
  const made = [];
  const { SharedWorker } = world.environment({ worker: true });
  const Recorded = class extends SharedWorker {
    constructor(...given) {
      super(...given);
      made.push(given);
    }
  };
  await world.tab({ environment: { SharedWorker: Recorded } });
  assert.deepEqual(made, [[WORKER, { type: "module", name: URL_ }]]);
});

for (const [name, given, options] of [
  ["without locks", {}, {}],
  ["locks that are refused", { environment: { locks: { request: async () => Promise.reject(new Error()) } } }, {}],
  ["share: false", { worker: true, locks: true }, { share: false }],
]) {
  test(`${name}: one connection each`, async () => {
    const world = new World();
    const tabs = [await world.tab(given, options), await world.tab(given, options)];
    assert.deepEqual(tabs.map(({ client }) => client.state), ["live", "live"]);
    assert.equal(world.pns.lines.length, 2);
  });
}

for (const [name, way] of WAYS) {
  test(`${name}: whoever carries the line and is dead is given up, and the page goes another way`, async () => {
    const world = new World();
    world.pns.unseen = ["a"];
    const dead = { postMessage() {}, close() {} };
    const environment = world.environment(way);
    // A worker whose port leads nowhere; a leader that is frozen: the lock is held, and nobody speaks.
    if (name === "worker") environment.SharedWorker = class { port = dead; };
    else environment.BroadcastChannel = class { postMessage() {} close() {} };
    if (name === "locks") environment.locks = { request: () => new Promise(() => {}) };
    const tab = await world.tab({ environment });
    assert.deepEqual([tab.client.state, tab.client.count], ["connecting", 0]);
    await world.clock.advance(10_000);
    assert.deepEqual([tab.client.state, tab.client.count], ["live", 1]);
  });
}
