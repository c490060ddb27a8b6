// One connection: how it is made, what its end means, when it is tried again.

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, settle } from "./world.js";

// One question by the page, and one once the connection is there: whether it is that user's still.
const START = 2;
const subscribes = ({ pns }) => pns.posts.filter(({ path }) => path === "/subscribe").length;
const nudge = async (tab, type, target = "window") => {
  tab.environment[target].dispatchEvent(new Event(type));
  await settle();
};

test("asks, connects, and tells the count and then the state", async () => {
  const world = new World();
  world.pns.unseen = ["a", "b"];
  const { client, log } = await world.tab();
  assert.deepEqual(log, [2, "live"]);
  assert.equal(client.count, 2);
  assert.equal(client.state, "live");
  assert.equal(client.userId, "alice");
  assert.equal(client.retryAt, null);
  const [post] = world.pns.posts;
  assert.deepEqual([post.method, post.credentials, post.path], ["POST", "include", "/subscribe"]);
  const [socket] = world.pns.lines;
  assert.equal(socket.url, "wss://host.test/pns/subscribe");
  assert.deepEqual(socket.protocols, ["pns.v1"]);
});

test("the count is set in the turn of the message", async () => {
  const world = new World();
  const { client } = await world.tab();
  world.pns.lines[0].say({ newNotificationCountChanged: 7 });
  assert.equal(client.count, 7);
});

test("what it does not know is ignored", async () => {
  const world = new World();
  const { client } = await world.tab();
  const [socket] = world.pns.lines;
  socket.say({ somethingNew: 1 });
  socket.onmessage({ data: "no JSON" });
  socket.say({ newNotificationCountChanged: 1, more: true });
  assert.equal(client.count, 1);
  assert.equal(client.state, "live");
});

test("nothing before connect() when it is not to connect by itself", async () => {
  const world = new World();
  const { client } = await world.tab({}, { connect: false });
  assert.equal(world.pns.posts.length, 0);
  client.connect();
  await settle();
  assert.equal(client.state, "live");
  client.connect();
  await settle();
  assert.equal(world.pns.lines.length, 1);
});

for (const chance of [0.125, 0.5, 0.875]) {
  test(`full jitter from 0.5 s to 20 s, for ever (${chance})`, async () => {
    const world = new World();
    const { client } = await world.tab();
    world.chance = chance;
    world.pns.refusal = "unreachable";
    world.pns.lines[0].end(1006);
    for (let failure = 0; failure < 40; failure++) {
      assert.equal(client.state, "offline");
      const bound = Math.min(20_000, 500 * 2 ** failure);
      assert.equal(client.retryAt - world.clock.now, chance * bound);
      await world.clock.advance(chance * bound);
    }
    world.pns.refusal = null;
    await world.clock.advance(20_000);
    assert.equal(client.state, "live");
  });
}

test("a connection that held makes the next wait short again", async () => {
  const world = new World();
  const { client } = await world.tab();
  for (const [lives, wait] of [[0, 250], [0, 500], [0, 1000], [20_001, 250], [19_999, 500]]) {
    await world.clock.advance(lives);
    world.pns.open[0].end(1012);
    assert.equal(client.retryAt - world.clock.now, wait);
    await world.clock.advance(wait);
    assert.equal(client.state, "live");
  }
});

for (const code of [1002, 1003, 1007, 1009]) {
  test(`after ${code}, which is our fault, from the last step on`, async () => {
    const world = new World();
    const { client } = await world.tab();
    world.pns.lines[0].end(code);
    assert.equal(client.retryAt - world.clock.now, 10_000);
  });
}

for (const status of [401, 403]) {
  test(`after a 45xx a ${status} is logged out; tried again on focus and by connect()`, async () => {
    const world = new World();
    world.pns.unseen = ["a"];
    const tab = await world.tab();
    const { client } = tab;
    world.pns.refusal = { status, code: "unauthorized" };
    world.pns.lines[0].end(4501);
    await settle();
    assert.equal(client.state, "logged-out");
    assert.equal(client.problem, "unauthorized");
    assert.deepEqual([client.count, client.userId, client.retryAt], [0, "", null]);
    assert.equal(subscribes(world), START + 1);
    await world.clock.advance(3_600_000);
    assert.equal(subscribes(world), START + 1, "nobody asks while nothing happens");
    tab.log.length = 0;
    await nudge(tab, "focus");
    assert.equal(subscribes(world), START + 2);
    assert.deepEqual(tab.log, [], "no news");
    world.pns.refusal = null;
    client.connect();
    await settle();
    assert.equal(client.state, "live");
    assert.equal(client.count, 1);
  });
}

test("a 45xx is followed up once, at once, and then with a wait", async () => {
  const world = new World();
  const { client } = await world.tab();
  world.pns.lines[0].end(4501);
  await settle();
  assert.equal(client.state, "live");
  assert.equal(subscribes(world), START + 2);
  world.pns.lines[1].end(4501);
  await settle();
  assert.equal(client.state, "offline");
  assert.equal(subscribes(world), START + 2);
});

for (const [name, refusal, problem] of [
  ["too many connections", { status: 429, code: "too_many_connections", after: 30 }, "too_many_connections"],
  ["a 503", { status: 503, code: "draining", after: 7 }, "draining"],
]) {
  test(`${name}: Retry-After is obeyed, by the page's events too, but not by a person`, async () => {
    const world = new World();
    const tab = await world.tab();
    const { client } = tab;
    world.pns.refusal = refusal;
    world.pns.lines[0].end(4509);
    await settle();
    assert.equal(client.state, "offline");
    assert.equal(client.problem, problem);
    assert.equal(client.retryAt - world.clock.now, refusal.after * 1000 + 250);
    await world.clock.advance(refusal.after * 1000 - 1);
    await nudge(tab, "online");
    await nudge(tab, "focus");
    assert.equal(subscribes(world), START + 1);
    client.connect();
    await settle();
    assert.equal(subscribes(world), START + 2);
  });
}

for (const [name, refusal, problem] of [
  ["no PNS there", { status: 404 }, "not_pns"],
  ["an origin that may not", { status: 403, code: "origin_not_allowed" }, "origin_not_allowed"],
]) {
  test(`${name}: an error, tried again from the last step on`, async () => {
    const world = new World();
    world.pns.refusal = refusal;
    const { client } = await world.tab();
    assert.equal(client.state, "error");
    assert.equal(client.problem, problem);
    assert.equal(client.retryAt - world.clock.now, 10_000);
    world.pns.refusal = null;
    await world.clock.advance(10_000);
    assert.equal(client.state, "live");
    assert.equal(client.problem, "");
  });
}

test("an answer that never comes is given up after 10 s", async () => {
  const world = new World();
  world.pns.refusal = "never";
  const { client } = await world.tab();
  await world.clock.advance(9_999);
  assert.equal(client.state, "connecting");
  await world.clock.advance(1);
  assert.equal(client.state, "offline");
  assert.equal(client.problem, "unreachable");
});

test("a line without a word for 1.5 heartbeats and 5 s is dead", async () => {
  const world = new World();
  const { client } = await world.tab();
  await world.clock.advance(60_000);
  world.pns.lines[0].say({ newNotificationCountChanged: 0 });
  await world.clock.advance(64_999);
  assert.equal(client.state, "live");
  assert.equal(world.pns.lines.length, 1);
  await world.clock.advance(1);
  assert.equal(client.state, "offline");
  assert.equal(world.pns.lines[0].over, true, "closed, not forgotten");
  world.pns.lines[0].onmessage({ data: '{"newNotificationCountChanged":9}' });
  assert.equal(client.count, 0, "what a dead line says late is nothing");
});

for (const [type, target] of [["online", "window"], ["visibilitychange", "document"], ["focus", "window"]]) {
  test(`at once on ${type}`, async () => {
    const world = new World();
    const tab = await world.tab();
    world.pns.lines[0].end(1006);
    assert.equal(tab.client.state, "offline");
    await nudge(tab, type, target);
    assert.equal(tab.client.state, "live");
    await nudge(tab, type, target);
    assert.equal(world.pns.lines.length, 2);
  });
}

test("a page that is hidden is no reason", async () => {
  const world = new World();
  const tab = await world.tab();
  world.pns.lines[0].end(1006);
  tab.environment.document.visibilityState = "hidden";
  await nudge(tab, "visibilitychange", "document");
  assert.equal(tab.client.state, "offline");
});

test("a computer that slept finds its line dead when the page is looked at", async () => {
  const world = new World();
  const tab = await world.tab();
  world.clock.now += 3_600_000; // no timer ran
  await nudge(tab, "visibilitychange", "document");
  assert.equal(world.pns.lines.length, 2);
  assert.equal(tab.client.state, "live");
});

test("offline is said at once", async () => {
  const world = new World();
  const tab = await world.tab();
  world.pns.refusal = "unreachable";
  await nudge(tab, "offline");
  assert.equal(tab.client.state, "offline");
  assert.equal(world.pns.open.length, 0);
  world.pns.refusal = null;
  await nudge(tab, "online");
  assert.equal(tab.client.state, "live");
});

test("disconnect() ends it, and connect() begins anew", async () => {
  const world = new World();
  const { client } = await world.tab();
  client.disconnect();
  await world.clock.advance(3_600_000);
  assert.equal(client.state, "offline");
  assert.equal(client.problem, "disconnected");
  assert.equal(client.retryAt, null);
  assert.equal(world.pns.open.length, 0);
  assert.equal(world.clock.timers.size, 0, "nothing is left behind");
  client.connect();
  await settle();
  assert.equal(client.state, "live");
});

test("another user's inbox begins with nothing of the last one's", async () => {
  const world = new World();
  world.pns.unseen = ["a"];
  const { client, arrived } = await world.tab({}, { follow: true });
  assert.deepEqual(arrived, ["a"]);
  world.pns.userId = "bob";
  world.pns.unseen = ["a"];
  world.pns.lines[0].end(4501);
  await settle();
  assert.equal(client.userId, "bob");
  assert.deepEqual(arrived, ["a", "a"], "the same id, of somebody else");
});

// ── the way through bad proxies ─────────────────────────────────────────────────────────────────────────

test("after two WebSockets that never said a word: events and single messages", async () => {
  const world = new World();
  const { pns, clock } = world;
  pns.unseen = ["a", "b"];
  pns.blocked.add("websocket");
  const { client } = await world.tab();
  assert.equal(client.state, "offline");
  await clock.advance(250);
  assert.equal(client.state, "offline");
  await clock.advance(500);
  assert.deepEqual(pns.lines.map(({ via }) => via), ["websocket", "websocket", "events"]);
  assert.equal(client.state, "live");
  assert.equal(client.count, 2);
  const events = pns.lines[2];
  assert.equal(events.url, "https://host.test/pns/subscribe");
  assert.equal(events.init.withCredentials, true);
  const items = await client.unseen();
  assert.deepEqual(items.map((item) => item.notification_id), ["a", "b"]);
  await settle();
  assert.equal(client.count, 0);
  const posts = pns.posts.filter(({ path }) => path === "/messages");
  assert.deepEqual(posts.map(({ body }) => Object.keys(JSON.parse(body))[0]), [
    "unseenNotificationDataRequest",
    "notificationDataSeen",
  ]);
});

test("WebSocket is tried again beside the events, and takes over without a gap", async () => {
  const world = new World();
  const { pns, clock } = world;
  pns.blocked.add("websocket");
  pns.heartbeat = 3600;
  const { client, log } = await world.tab();
  await clock.advance(750);
  assert.equal(pns.open[0].via, "events");
  await clock.advance(300_000);
  assert.equal(pns.lines.length, 4, "tried, in vain");
  assert.equal(pns.open[0].via, "events");
  pns.blocked.clear();
  log.length = 0;
  await clock.advance(300_000);
  assert.deepEqual(pns.open.map(({ via }) => via), ["websocket"]);
  assert.deepEqual(log, [], "nobody noticed");
  assert.equal(client.state, "live");
});

test("the event stream's close codes mean the same", async () => {
  const world = new World();
  const { pns, clock } = world;
  pns.blocked.add("websocket");
  const { client } = await world.tab();
  await clock.advance(750);
  pns.refusal = { status: 401, code: "unauthorized" };
  pns.open[0].end(4501);
  await settle();
  assert.equal(client.state, "logged-out");
});

test("where events do not get through either, both are tried in turn", async () => {
  const world = new World();
  const { pns, clock } = world;
  pns.blocked = new Set(["websocket", "events"]);
  await world.tab();
  await clock.advance(60_000);
  const ways = pns.lines.map(({ via }) => via);
  assert.deepEqual(ways.slice(0, 5), ["websocket", "websocket", "events", "websocket", "events"]);
});

for (const opens of [true, false]) {
  test(`after a stream that says nothing at first the next way comes without a wait (${opens ? "open" : "held back"})`, async () => {
    const world = new World();
    const { pns, clock } = world;
    pns.blocked.add("websocket");
    const { connect } = pns;
    // Something between keeps what the stream says, and perhaps its head too, until there is more of it.
    pns.connect = (line) => {
      if (line.via === "websocket") return connect.call(pns, line);
      pns.lines.push(line);
      if (opens) line.onopen?.();
    };
    const { client } = await world.tab();
    await clock.advance(750);
    assert.deepEqual(pns.lines.map(({ via }) => via), ["websocket", "websocket", "events"]);
    pns.blocked.clear();
    await clock.advance(9_999);
    assert.equal(client.state, "connecting");
    await clock.advance(1);
    assert.deepEqual([client.state, client.retryAt], ["live", null]);
    assert.equal(pns.lines[2].over, true);
    assert.deepEqual(pns.open.map(({ via }) => via), ["websocket"]);
  });
}

test("where neither says a word, no way is tried more often than its silence allows", async () => {
  const world = new World();
  world.pns.blocked.add("websocket");
  const { connect } = world.pns;
  world.pns.connect = (line) => (line.via === "events" ? world.pns.lines.push(line) : connect.call(world.pns, line));
  await world.tab();
  await world.clock.advance(600_000);
  assert.ok(world.pns.lines.length <= 2 * 60 + 2, `${world.pns.lines.length} in ten minutes`);
});

test("a WebSocket that opens and says nothing is a failed one", async () => {
  const world = new World();
  world.pns.connect = (line) => world.pns.lines.push(line);
  const { client } = await world.tab();
  await world.clock.advance(9_999);
  assert.equal(client.state, "connecting");
  await world.clock.advance(1);
  assert.equal(client.state, "offline");
});

test("a WebSocket that cannot even be made is a failed one", async () => {
  const world = new World();
  const WebSocket = class {
    constructor() {
      throw new Error("not here");
    }
  };
  const { client } = await world.tab({ environment: { WebSocket } });
  assert.equal(client.state, "offline");
  await world.clock.advance(750);
  assert.equal(client.state, "live");
  assert.equal(world.pns.open[0].via, "events");
});

test("a server that restarts does not bring the client to events", async () => {
  const world = new World();
  await world.tab();
  for (let restart = 0; restart < 4; restart++) {
    world.pns.open[0].end(1012);
    await world.clock.advance(20_000);
  }
  assert.deepEqual(new Set(world.pns.lines.map(({ via }) => via)), new Set(["websocket"]));
});
