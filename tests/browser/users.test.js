// Whose inbox an open page shows: each page asks for itself, and a line that is another user's is not its own.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PNSError, World, settle } from "./world.js";

const WAYS = [["worker", { worker: true, locks: true }], ["locks", { locks: true }], ["alone", {}]];
const SHARED = WAYS.slice(0, 2);
const OTHERS = { bob: ["b1", "b2", "b3"], carol: [] };

const questions = ({ pns }) => pns.posts.filter(({ path }) => path === "/subscribe").length;
const shows = ({ client }) => [client.userId, client.count, client.state];
const look = async ({ environment }, type = "focus", target = "window") => {
  environment[target].dispatchEvent(new Event(type));
  await settle();
};
const fails = (promise, code) =>
  assert.rejects(promise, (error) => error instanceof PNSError && error.code === code);

/** A browser of Alice, who has two notifications; Bob has three, Carol none. */
function browser() {
  const world = new World();
  world.pns.heartbeat = 3600;
  world.pns.unseen = ["a1", "a2"];
  for (const [user, unseen] of Object.entries(OTHERS)) world.pns.inboxOf(user).unseen = [...unseen];
  return world;
}

for (const [name, way] of WAYS) {
  test(`${name}: a page that is loaded after another user's login shows nothing of the former one`, async () => {
    const world = browser();
    const former = await world.tab(way, { follow: true });
    assert.deepEqual(shows(former), ["alice", 2, "live"]);
    world.pns.userId = "bob";
    const page = await world.tab(way, { follow: true });
    assert.deepEqual(page.log, [3, "live"], "never a count of Alice");
    assert.deepEqual(page.arrived, ["b1", "b2", "b3"]);
    world.clock.now += 10_000;
    if (name === "alone") await look(former);
    assert.deepEqual(shows(former), ["bob", 3, "live"]);
  });

  test(`${name}: a page that is loaded after a logout shows nothing, and ends what the others share`, async () => {
    const world = browser();
    const former = await world.tab(way);
    world.pns.userId = "";
    const page = await world.tab(way);
    assert.deepEqual(page.log, ["logged-out"]);
    world.clock.now += 10_000;
    if (name === "alone") await look(former);
    assert.deepEqual(shows(former), ["", 0, "logged-out"]);
    assert.equal(world.pns.open.length, 0);
  });

  for (const [type, target] of [["focus", "window"], ["visibilitychange", "document"]]) {
    test(`${name}: ${type} asks again, 10 s after the last question at the soonest`, async () => {
      const world = browser();
      const [tab, other] = [await world.tab(way), await world.tab(way)];
      const before = questions(world);
      world.pns.userId = "bob";
      await look(tab, type, target);
      assert.equal(questions(world), before, "it has just asked");
      assert.deepEqual(shows(tab), ["alice", 2, "live"]);
      world.clock.now += 10_000;
      await look(tab, type, target);
      assert.deepEqual(shows(tab), ["bob", 3, "live"]);
      if (name !== "alone") assert.deepEqual(shows(other), ["bob", 3, "live"]);
    });
  }

  test(`${name}: a page that is looked at again too soon to ask, asks when the 10 s are over`, async () => {
    const world = browser();
    const tab = await world.tab(way);
    await world.clock.advance(1000);
    await look(tab, "blur");
    world.pns.userId = "bob";
    await world.clock.advance(1000);
    await look(tab);
    await world.clock.advance(7999);
    assert.deepEqual(shows(tab), ["alice", 2, "live"]);
    await world.clock.advance(1);
    assert.deepEqual(shows(tab), ["bob", 3, "live"]);
  });

  test(`${name}: a page that was never left asks no second time`, async () => {
    const world = browser();
    const tab = await world.tab(way);
    const before = questions(world);
    await look(tab);
    await world.clock.advance(30_000);
    assert.equal(questions(world), before);
  });

  test(`${name}: a page that is put aside shows nothing, and when it is back what it is answered then`, async () => {
    const world = browser();
    const [tab, other] = [await world.tab(way, { follow: true }), await world.tab(way)];
    await look(tab, "pagehide");
    assert.deepEqual(shows(tab), ["", 0, "connecting"]);
    assert.deepEqual(shows(other), ["alice", 2, "live"], "it was no logout");
    tab.arrived.length = 0;
    await look(tab, "pageshow");
    assert.deepEqual(shows(tab), ["alice", 2, "live"]);
    assert.deepEqual(tab.arrived, [], "it has them");
    await look(tab, "pagehide");
    world.pns.userId = "bob";
    tab.log.length = 0;
    await look(tab, "pageshow");
    assert.deepEqual(tab.log, [3, "live"]);
    assert.deepEqual(tab.arrived, ["b1", "b2", "b3"]);
  });

  test(`${name}: connect() after a login without a page load asks at once`, async () => {
    const world = browser();
    world.pns.userId = "";
    const [tab, other] = [await world.tab(way), await world.tab(way)];
    assert.deepEqual(shows(tab), ["", 0, "logged-out"]);
    world.pns.userId = "bob";
    tab.client.connect();
    await settle();
    assert.deepEqual(shows(tab), ["bob", 3, "live"]);
    if (name !== "alone") assert.deepEqual(shows(other), ["bob", 3, "live"]);
    world.pns.userId = "alice";
    other.client.connect();
    await settle();
    assert.deepEqual(shows(other), ["alice", 2, "live"]);
  });

  test(`${name}: a question that is overtaken by connect() says nothing`, async () => {
    const world = browser();
    const { fetch } = world.environment();
    const late = [];
    const slow = async (...call) => {
      const answer = await fetch(...call);
      if (late.length < 1) await new Promise((resolve) => late.push(resolve));
      return answer;
    };
    const tab = await world.tab({ ...way, environment: { fetch: slow } }, { follow: true });
    world.pns.userId = "bob";
    tab.client.connect();
    await settle();
    late[0]();
    await settle();
    assert.deepEqual(tab.log, [3, "live"]);
    assert.deepEqual(tab.arrived, ["b1", "b2", "b3"]);
  });

  for (const refusal of ["unreachable", { status: 503, code: "draining" }, { status: 429, code: "too_many_connections" }]) {
    test(`${name}: no answer (${refusal.status ?? refusal}): nothing where nothing was shown, and else what was`, async () => {
      const world = browser();
      const tab = await world.tab(way);
      world.pns.refusal = refusal;
      const page = await world.tab(way);
      assert.deepEqual(shows(page), ["", 0, "offline"]);
      assert.ok(page.client.retryAt > world.clock.now);
      world.clock.now += 10_000;
      await look(tab);
      assert.deepEqual(shows(tab), ["alice", 2, "live"]);
      world.pns.refusal = null;
      await world.clock.advance(20_000);
      assert.deepEqual(shows(page), ["alice", 2, "live"]);
    });
  }

  test(`${name}: the line's own question is answered by another user: every page asks for itself`, async () => {
    const world = browser();
    const tabs = [await world.tab(way), await world.tab(way)];
    world.pns.userId = "bob";
    for (const line of world.pns.open) line.end(4501);
    await settle();
    for (const tab of tabs) {
      assert.deepEqual(shows(tab), ["bob", 3, "live"]);
      assert.equal(tab.named, "bob");
    }
  });

  test(`${name}: what is under way for one user is not answered with another's`, async () => {
    const world = browser();
    const tab = await world.tab(way);
    world.pns.silent = true;
    const failing = [fails(tab.client.unseen(), "user_changed"), fails(tab.client.seen(), "user_changed")];
    await settle();
    world.pns.silent = false;
    world.pns.userId = "bob";
    tab.client.connect();
    await Promise.all(failing);
    await settle();
    assert.deepEqual(world.pns.inboxOf("bob").unseen, OTHERS.bob, "nor is anything marked");
    const items = await tab.client.unseen({ ack: true });
    assert.deepEqual(items.map((item) => item.notification_id), OTHERS.bob);
  });

  test(`${name}: pages of unseen end when the user changes`, async () => {
    const world = browser();
    const tab = await world.tab(way);
    const pages = tab.client.unseenPages({ limit: 1 });
    await pages.next();
    world.pns.userId = "bob";
    tab.client.connect();
    await settle();
    await fails(pages.next(), "user_changed");
    assert.deepEqual(world.pns.inboxOf("bob").unseen, OTHERS.bob);
  });

  test(`${name}: the change is told before anything of the new user`, async () => {
    const world = browser();
    const tab = await world.tab(way);
    const told = [];
    for (const type of ["user", "count"]) tab.client.addEventListener(type, ({ detail }) => told.push(detail));
    tab.client.addEventListener("user", () => told.push(tab.client.count));
    world.pns.userId = "bob";
    tab.client.connect();
    await settle();
    assert.deepEqual(told, ["bob", 0, 0, 3]);
  });

  for (const ends of [false, true]) test(`${name}: two users in turn for one browser make no storm (${ends})`, async () => {
    const world = browser();
    let turn = 0;
    world.pns.userId = () => ["alice", "bob"][turn++ % 2];
    const { fetch } = world.pns;
    world.pns.fetch = async (...call) => {
      const answer = await fetch.apply(world.pns, call);
      const user = /"user_id":"(.*?)"/.exec(await answer.text())?.[1];
      // As PNS does to a device that was left.
      for (const line of world.pns.open) if (ends && user && line.user !== user) line.end(4501);
      return answer;
    };
    const start = world.clock.now;
    for (let n = 0; n < 5; n++) await world.tab(way, { follow: true });
    await world.clock.advance(120_000);
    const times = world.pns.posts.map(({ at }) => at - start);
    const within = (from, to) => times.filter((at) => at >= from && at < to).length;
    const most = Math.max(...times.map((at) => within(at, at + 1000)));
    assert.ok(most <= 5 * 8, `${most} in a second`);
    assert.ok(within(60_000, 120_000) <= 60 * 2, `${within(60_000, 120_000)} in the second minute`);
    world.pns.userId = "carol";
    await world.clock.advance(60_000);
    const calm = world.pns.posts.length;
    await world.clock.advance(60_000);
    assert.equal(world.pns.posts.length, calm, "and it ends with its cause");
  });
}

for (const [name, way] of SHARED) {
  test(`${name}: frames of another user's line are not told`, async () => {
    const world = browser();
    const former = await world.tab(way, { frames: true });
    await former.client.unseen({ ack: true });
    world.pns.userId = "bob";
    const frames = [];
    const page = await world.tab(way, { frames: true, connect: false });
    page.client.addEventListener("frame", ({ detail }) => frames.push(detail.text));
    page.client.connect();
    former.client.unseen({ ack: true }).catch(() => {});
    await settle();
    assert.ok(frames.length);
    assert.ok(!frames.join().includes("a1"));
  });

  test(`${name}: a page costs one question, a connection one more`, async () => {
    const world = browser();
    for (let n = 1; n <= 3; n++) {
      await world.tab(way);
      assert.equal(questions(world), n + 1);
    }
    assert.equal(world.pns.lines.length, 1);
  });
}

// ── questions that overlap ───────────────────────────────────────────────────────────────────────────────

/** From now on questions wait: each is answered, as `userId`, by calling it. */
function hold(world) {
  const answer = world.pns.fetch.bind(world.pns);
  const held = [];
  world.pns.fetch = (url, options) =>
    new Promise((resolve) => {
      held.push(async (userId) => {
        world.pns.userId = userId;
        resolve(await answer(url, options));
        await settle();
      });
    });
  return held;
}

for (const [name, way] of WAYS) {
  test(`${name}: an answer counts, also where the page has asked again meanwhile`, async () => {
    const world = browser();
    const tab = await world.tab(way);
    const held = hold(world);
    tab.client.connect();
    tab.client.connect();
    await settle();
    await held[0]("bob");
    assert.deepEqual(shows(tab).slice(0, 2), ["bob", 0], "nothing of Alice, though the newer question is open");
    world.pns.notify("a3");
    await settle();
    assert.notEqual(tab.client.count, 3);
  });

  test(`${name}: an answer to an older question does not count any more`, async () => {
    const world = browser();
    const tab = await world.tab(way);
    const held = hold(world);
    tab.client.connect();
    tab.client.connect();
    await settle();
    await held[1]("bob");
    tab.log.length = 0;
    await held[0]("alice");
    assert.equal(tab.client.userId, "bob");
    assert.ok(!tab.log.includes(2), "nothing of Alice");
  });
}

// ── the cookies change while a connection is made ────────────────────────────────────────────────────────

test("a connection that is opened as somebody else shows nothing, and the page asks", async () => {
  const world = browser();
  const { connect } = world.pns;
  world.pns.connect = (line) => {
    world.pns.userId = "bob"; // between the question and the connection
    connect.call(world.pns, line);
  };
  const tab = await world.tab({}, { follow: true });
  await world.clock.advance(1000);
  assert.ok(!tab.log.includes(2));
  assert.deepEqual(tab.log.filter((word) => word === 3), [3]);
  assert.deepEqual(shows(tab), ["bob", 3, "live"]);
  assert.deepEqual(tab.arrived, ["b1", "b2", "b3"]);
});

test("beside events: what is read with somebody else's cookies is told to nobody", async () => {
  const world = browser();
  world.pns.blocked.add("websocket");
  const tab = await world.tab();
  await world.clock.advance(1000);
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  world.pns.userId = "bob";
  await fails(tab.client.unseen({ ack: true }), "user_changed");
  await world.clock.advance(5000);
  assert.deepEqual(shows(tab), ["bob", 3, "live"]);
});

for (const [answer, refusal, state] of [
  ["a user at the limit of connections is let in", { status: 429, code: "too_many_connections" }, "live"],
  ["without an answer nothing is shown", { status: 503, code: "auth_unavailable" }, "offline"],
]) {
  test(`a connection that is asked about: ${answer}`, async () => {
    const world = browser();
    const { connect } = world.pns;
    world.pns.connect = (line) => {
      world.pns.refusal = refusal;
      connect.call(world.pns, line);
    };
    const tab = await world.tab();
    assert.deepEqual(shows(tab), ["alice", state === "live" ? 2 : 0, state]);
    world.pns.refusal = null;
    world.pns.connect = connect;
    await world.clock.advance(1000);
    assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  });
}

test("disconnect() leaves nothing on the page", async () => {
  const world = browser();
  const tab = await world.tab();
  tab.client.disconnect();
  assert.deepEqual(shows(tab), ["", 0, "offline"]);
});
