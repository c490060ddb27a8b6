// Logins without a cookie: headers of the page's own, and tickets for its connections.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PNSError, URL_, World, settle } from "./world.js";

const posts = ({ pns }, path = "/subscribe") => pns.posts.filter((post) => post.path === path);
const wishes = (world) => posts(world).map(({ body }) => JSON.parse(body));
const shows = ({ client }) => [client.userId, client.count, client.state];
const fails = (promise, code) =>
  assert.rejects(promise, (error) => error instanceof PNSError && error.code === code);

/** A browser without a cookie, in which `user` logs in by a header. */
async function opened(user = "alice", { given = { worker: true, locks: true }, options } = {}) {
  const world = new World();
  world.pns.userId = "";
  world.pns.heartbeat = 3600;
  world.pns.inboxOf("alice").unseen = ["a1", "a2"];
  world.pns.inboxOf("bob").unseen = ["b1", "b2", "b3"];
  const login = { user };
  const headers = async () => ({ authorization: login.user });
  const tab = await world.tab(given, { headers, ...options });
  return { world, login, tab };
}

/** The same, where no WebSocket gets through. */
async function besideEvents() {
  const all = await opened("alice", { options: { connect: false } });
  all.world.pns.blocked.add("websocket");
  all.tab.client.connect();
  await settle();
  await all.world.clock.advance(1000);
  return all;
}

test("asks with its headers and no cookie, and connects with the ticket", async () => {
  const { world, tab } = await opened();
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  const [post] = posts(world);
  assert.deepEqual([post.method, post.credentials, post.body], ["POST", "omit", '{"ticket":true}']);
  assert.deepEqual(post.headers, { authorization: "alice", "content-type": "application/json" });
  assert.deepEqual(world.pns.lines[0].protocols, ["pns.v1", "pns.ticket.ticket-1"]);
  assert.equal(posts(world).length, 1, "a ticket is its user's: nothing is asked twice");
});

test("each such client has a connection of its own", async () => {
  const { world } = await opened();
  await world.tab({ worker: true, locks: true }, { headers: () => ({ authorization: "alice" }) });
  assert.equal(world.pns.open.length, 2);
  assert.equal(world.workers.size, 0);
});

test("two tabs that are two users do not touch each other", async () => {
  const { world, tab: ann } = await opened("alice", { options: { follow: true } });
  const bob = await world.tab({ worker: true, locks: true }, { headers: () => ({ authorization: "bob" }), follow: true });
  const shown = [["alice", 2, "live"], ["bob", 3, "live"]];
  assert.deepEqual([shows(ann), shows(bob)], shown);
  assert.deepEqual([ann.arrived, bob.arrived], [["a1", "a2"], ["b1", "b2", "b3"]]);
  for (const { environment, client } of [ann, bob]) {
    world.clock.now += 11_000;
    environment.window.dispatchEvent(new Event("focus"));
    await settle();
    client.connect();
    await settle();
  }
  assert.deepEqual([shows(ann), shows(bob)], shown);
  assert.equal(world.pns.lines.length, 2);
  assert.deepEqual(world.pns.left, [], "nobody came with the other's device");
  const cookie = await world.tab({ worker: true, locks: true });
  assert.deepEqual(shows(cookie), ["", 0, "logged-out"]);
  assert.deepEqual([shows(ann), shows(bob)], shown);
});

test("the device is the tab's, over a page load too", async () => {
  const { world, tab } = await opened();
  const { storage } = tab.environment;
  await world.tab({ environment: { storage } }, { headers: () => ({ authorization: "alice" }) });
  await world.tab({}, { headers: () => ({ authorization: "alice" }) });
  assert.deepEqual(wishes(world).map((wish) => wish.device_token), [undefined, "alice 1", undefined]);
});

test("a browser that keeps nothing is no trouble", async () => {
  const storage = () => {
    throw new DOMException("blocked", "SecurityError");
  };
  const { tab } = await opened("alice", { given: { environment: { storage } } });
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
});

test("single messages carry the headers, as they are then", async () => {
  const { world, tab } = await opened();
  await tab.client.unseen();
  const [post] = posts(world, "/messages");
  assert.deepEqual([post.credentials, post.headers], ["omit", { authorization: "alice" }]);
  assert.deepEqual(world.pns.inboxOf("alice").seen, ["a1", "a2"]);
});

test("events are opened with a ticket each, and a WebSocket beside them with another", async () => {
  const { world } = await besideEvents();
  const [events] = world.pns.open;
  assert.equal(events.via, "events");
  assert.equal(events.url, `${URL_}/subscribe?ticket=${events.ticket}`);
  assert.equal(events.init.withCredentials, false);
  world.pns.blocked.clear();
  await world.clock.advance(300_000);
  assert.deepEqual(world.pns.open.map(({ via }) => via), ["websocket"]);
  assert.equal(new Set(world.pns.lines.map(({ ticket }) => ticket)).size, world.pns.lines.length, "none twice");
});

test("beside events: what is read with another login's headers is told to nobody", async () => {
  const { world, login, tab } = await besideEvents();
  login.user = "bob";
  await fails(tab.client.unseen({ ack: true }), "user_changed");
  await world.clock.advance(5000);
  assert.deepEqual(shows(tab), ["bob", 3, "live"]);
});

test("beside events: a stream whose ticket has run out is opened anew at once, however often", async () => {
  const { world, tab } = await besideEvents();
  for (let time = 0; time < 4; time++) {
    await world.clock.advance(2000);
    world.pns.open[0].end(4502);
    await settle();
    assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  }
});

// ── renewal ─────────────────────────────────────────────────────────────────────────────────────────────

for (const chance of [0, 0.5, 0.999]) {
  test(`another ticket keeps the connection, in time (${chance})`, async () => {
    const { world, tab } = await opened("alice", { options: { connect: false } });
    world.chance = chance;
    tab.client.connect();
    await settle();
    for (let time = 1; time <= 3; time++) {
      await world.clock.advance(150_000 * (1 + chance / 2));
      const wish = wishes(world)[time];
      assert.deepEqual(wish, { ticket: true, renew: true, device_token: "alice 1" });
      assert.deepEqual(JSON.parse(world.pns.lines[0].sent[time - 1]), { renewTicket: `ticket-${time + 1}` });
    }
    assert.equal(world.pns.lines.length, 1);
    assert.equal(tab.log.length, 2, "nobody noticed");
  });
}

test("a renewal waits for its turn: the answer before it is not taken for its own", async () => {
  const { world, tab } = await opened();
  const [socket] = world.pns.lines;
  const renewals = () => socket.sent.filter((text) => text.includes("renewTicket")).length;
  await world.clock.advance(187_000);
  world.pns.silent = true;
  const asked = fails(tab.client.seen({ after: "gone" }), "unknown_notification");
  await world.clock.advance(1000);
  assert.equal(renewals(), 0);
  world.pns.silent = false;
  socket.say({ error: { code: "unknown_notification", message: "gone" } });
  await asked;
  await settle();
  assert.equal(renewals(), 1);
  await world.clock.advance(200_000);
  assert.equal(renewals(), 2, "and it was answered");
  assert.equal(world.pns.lines.length, 1);
});

test("without renewal nothing is asked", async () => {
  const { world, tab } = await opened("alice", { options: { connect: false } });
  world.pns.renewal = null;
  tab.client.connect();
  await settle();
  await world.clock.advance(3_000_000);
  assert.equal(posts(world).length, 1);
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
});

test("a renewal that is refused: the connection is made anew", async () => {
  const { world, tab } = await opened();
  world.pns.use = (ticket) => FakeUse.call(world.pns, ticket);
  let refused = 0;
  function FakeUse(ticket) {
    const user = this.tickets.get(ticket);
    this.tickets.delete(ticket);
    return refused++ ? user : undefined;
  }
  await world.clock.advance(187_500);
  assert.equal(world.pns.lines.length, 2);
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  assert.ok(!tab.log.includes("logged-out") && !tab.log.includes(0));
});

test("a renewal without an answer is tried again until the connection ends, which is no logout", async () => {
  const { world, tab } = await opened();
  world.pns.refusal = { status: 503, code: "auth_unavailable" };
  await world.clock.advance(299_000);
  assert.ok(posts(world).length > 2);
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  world.pns.refusal = null;
  world.pns.open[0].end(4502);
  await settle();
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  assert.ok(!tab.log.includes("logged-out"));
});

test("a renewal that another user asks for ends the connection", async () => {
  const { world, login, tab } = await opened();
  login.user = "bob";
  await world.clock.advance(187_500);
  assert.deepEqual(shows(tab), ["bob", 3, "live"]);
  assert.deepEqual(world.pns.open.map(({ user }) => user), ["bob"]);
  assert.deepEqual(tab.log, [2, "live", 0, "connecting", 3, "live"]);
});

test("a renewal that is refused for good is a logout", async () => {
  const { world, login, tab } = await opened();
  assert.deepEqual(shows(tab), ["alice", 2, "live"]);
  login.user = "";
  await world.clock.advance(187_500);
  assert.deepEqual(shows(tab), ["", 0, "logged-out"]);
  assert.equal(world.pns.open.length, 0);
});

test("a page that is looked at asks again, and another user closes the connection", async () => {
  const { world, login, tab } = await opened();
  login.user = "bob";
  world.clock.now += 10_000;
  tab.environment.window.dispatchEvent(new Event("focus"));
  await settle();
  assert.deepEqual(shows(tab), ["bob", 3, "live"]);
  assert.deepEqual(world.pns.open.map(({ user }) => user), ["bob"]);
});

// ── headers() that fail ─────────────────────────────────────────────────────────────────────────────────

for (const [name, failing] of [
  ["throws", () => { throw new Error("no token yet"); }],
  ["rejects", async () => { throw new Error("no token yet"); }],
]) {
  test(`headers() that ${name} is a doubt, and no logout`, async () => {
    const { world, tab, login } = await opened("alice", { options: { connect: false } });
    let broken = true;
    const client = await world.tab({}, { headers: () => (broken ? failing() : { authorization: login.user }) });
    assert.deepEqual(shows(client), ["", 0, "offline"]);
    assert.deepEqual(posts(world), [], "nothing was sent");
    assert.deepEqual(world.warnings, ["PNS: headers() failed: Error: no token yet"]);
    broken = false;
    await world.clock.advance(20_000);
    assert.deepEqual(shows(client), ["alice", 2, "live"]);
    broken = true;
    world.clock.now += 10_000;
    client.environment.window.dispatchEvent(new Event("focus"));
    await settle();
    assert.deepEqual(shows(client), ["alice", 2, "live"]);
    assert.equal(tab.client.state, "connecting");
  });
}

test("headers() that never answers is given up after 10 s", async () => {
  const { world } = await opened("alice", { options: { connect: false } });
  const tab = await world.tab({}, { headers: () => new Promise(() => {}) });
  await world.clock.advance(9_999);
  assert.equal(tab.client.state, "connecting");
  await world.clock.advance(1);
  assert.equal(tab.client.state, "offline");
});

test("a PNS that knows no tickets is an error, and no connection is tried", async () => {
  const { world, tab } = await opened("alice", { options: { connect: false } });
  world.pns.ticketOf = () => ({});
  tab.client.connect();
  await settle();
  assert.equal(tab.client.state, "error");
  assert.equal(world.pns.lines.length, 0);
  assert.match(world.warnings[0], /answered 200, not as PNS with tickets/);
});
