// Web Push at a logout: whatever is under way then, nothing is pushed to whoever has gone, and the wish stays.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PushWorld, URL_ } from "./push-world.js";

const REGISTER = `register ${URL_}/push-worker.js?title=Neu`;

/** A browser that has lost the subscription that is wished for, and a tab whose start makes it anew. */
async function lost() {
  const world = new PushWorld();
  await world.on();
  world.registration.pushManager.current = null;
  world.pns.devices.clear();
  return { world, push: world.tab({ title: "Neu" }) };
}

test("logged out: ended here, and wished for still, so that the next start brings it back", async () => {
  const world = new PushWorld();
  const push = await world.on();
  await world.registration.showNotification("hers", { data: { id: "n1" } });
  assert.equal(await push.pause(), "unknown");
  assert.deepEqual(world.log.take(), ["DELETE /devices/device-1", "unsubscribe"]);
  assert.equal(world.registration.shown.length, 0);
  assert.equal(await push.enable(), "unknown", "nobody is logged in");
  assert.equal(await push.start(), "on");
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "subscribe 2", "POST /devices"]);
});

// Where a start or a click is when the logout comes, and what happens from then on.
const PAUSED_START = {
  "GET /devices/networks": [],
  [REGISTER]: [],
  "subscribe 2": ["unsubscribe"],
  "POST /devices": ["DELETE /devices/device-2", "unsubscribe"],
};

for (const [moment, after] of Object.entries(PAUSED_START)) {
  test(`logged out while a start is at ${moment}: it goes no further, and the next one does`, async () => {
    const { world, push } = await lost();
    let paused;
    world.log.at(moment, () => (paused = push.pause()));
    const started = push.start();
    assert.deepEqual([await started, await paused], ["unknown", "unknown"]);
    assert.deepEqual(world.log.take(), after);
    assert.deepEqual([world.registration.pushManager.current, world.pns.devices.size], [null, 0]);
    assert.equal(await push.start(), "on");
  });
}

const PAUSED_ENABLE = {
  ask: [REGISTER, "unregister"],
  [REGISTER]: ["unregister"],
  "subscribe 1": ["unsubscribe", "unregister"],
};

for (const [moment, after] of Object.entries(PAUSED_ENABLE)) {
  test(`logged out while the switch is turned on, at ${moment}: it is not`, async () => {
    const world = new PushWorld();
    const push = world.tab({ title: "Neu" });
    await push.start();
    world.log.at(moment, () => push.pause());
    assert.equal(await push.enable(), "unknown");
    assert.deepEqual(world.log.take(), after);
    assert.equal(await push.start(), "off");
  });
}

for (const subscribed of [false, true]) {
  test(`logged out at any turn of a start (subscribed before: ${subscribed}): nothing is left`, async () => {
    for (let turns = 0, over = false; !over; turns++) {
      const { world, push } = await lost();
      if (subscribed) await world.tab().start();
      let ended = false;
      const started = push.start().then(() => (ended = true));
      for (let turn = 0; turn < turns; turn++) await null;
      over = ended;
      assert.equal(await push.pause(), "unknown");
      await started;
      const left = [push.state, world.registration.pushManager.current, world.pns.devices.size];
      assert.deepEqual(left, ["unknown", null, 0], `after ${turns} turns`);
    }
  });
}

test("who logs in while the last one's start is still under way is told to PNS once", async () => {
  const { world, push } = await lost();
  let next;
  world.log.at("GET /devices/networks", () => {
    push.pause();
    next = push.start();
  });
  await push.start();
  assert.equal(await next, "on");
  assert.deepEqual(world.log.take(), ["GET /devices/networks", REGISTER, "subscribe 2", "POST /devices"]);
});

test("another user logs in, and PNS cannot be told of it: what is turned off then is not the former one's", async () => {
  const world = new PushWorld();
  const push = await world.on();
  world.pns.user = "bobs-";
  world.pns.refusal = { POST: "unreachable" };
  assert.equal(await push.start(), "on");
  world.pns.refusal = {};
  world.log.take();
  await push.disable();
  assert.deepEqual(world.log.take(), ["POST /devices", "DELETE /devices/bobs-device-1", "unsubscribe", "unregister"]);
});

test("what a logout has taken back at PNS is not taken back once more in the place of its successor", async () => {
  const world = new PushWorld();
  const push = await world.on();
  await push.pause();
  world.pns.refusal = { POST: "unreachable" };
  assert.equal(await push.start(), "on");
  world.pns.refusal = {};
  world.log.take();
  await push.disable();
  assert.deepEqual(world.log.take(), ["POST /devices", "DELETE /devices/device-2", "unsubscribe", "unregister"]);
});
