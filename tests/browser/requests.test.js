// What a page asks, and what it is told once and only once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PNSError, URL_, World, settle, version } from "./world.js";

const ids = (items) => items.map((item) => item.notification_id);
const requests = ({ pns }) => pns.lines.flatMap(({ sent }) => sent ?? []).map((text) => JSON.parse(text));
const fails = (promise, code) =>
  assert.rejects(promise, (error) => error instanceof PNSError && error.code === code);

async function collect(pages) {
  const found = [];
  for await (const page of pages) found.push(ids(page));
  return found;
}

test("unseen() is marked once it is here; with ack only when it is said", async () => {
  const world = new World();
  world.pns.unseen = ["a", "b", "c"];
  const { client } = await world.tab();
  assert.deepEqual(ids(await client.unseen({ ack: true, limit: 2 })), ["a", "b"]);
  assert.deepEqual(world.pns.seen, []);
  await client.markSeen("a");
  assert.deepEqual(world.pns.seen, ["a"]);
  assert.deepEqual(ids(await client.unseen()), ["b", "c"]);
  assert.deepEqual(world.pns.seen, ["a", "b", "c"]);
  assert.deepEqual(await client.unseen(), []);
  // Nothing is ever marked by being sent.
  assert.ok(requests(world).every((request) => request.unseenNotificationDataRequest.ack));
});

test("pages of unseen, each marked when the next is asked for", async () => {
  const world = new World();
  world.pns.unseen = ["a", "b", "c", "d", "e"];
  const { client } = await world.tab();
  const pages = client.unseenPages({ limit: 2 });
  assert.deepEqual(ids((await pages.next()).value), ["a", "b"]);
  assert.deepEqual(world.pns.seen, []);
  assert.deepEqual(ids((await pages.next()).value), ["c", "d"]);
  assert.deepEqual(world.pns.seen, ["a", "b"]);
  assert.deepEqual(await collect(pages), [["e"]]);
  assert.deepEqual(world.pns.seen, ["a", "b", "c", "d", "e"]);
});

test("pages of seen, both ways", async () => {
  const world = new World();
  world.pns.seen = ["a", "b", "c", "d", "e"];
  const { client } = await world.tab();
  assert.deepEqual(await collect(client.seenPages({ limit: 2 })), [["a", "b"], ["c", "d"], ["e"]]);
  assert.deepEqual(await collect(client.seenPages({ after: "b", limit: 2 })), [["c", "d"], ["e"]]);
  assert.deepEqual(await collect(client.seenPages({ before: "", limit: 2 })), [["e", "d"], ["c", "b"], ["a"]]);
  assert.deepEqual(ids(await client.seen({ receivedAfter: "2026-01-01T00:00:00Z", limit: 1 })), ["a"]);
  assert.deepEqual(requests(world).at(-1), {
    seenNotificationsRequest: { receivedAfter: "2026-01-01T00:00:00Z", limit: 1 },
  });
});

for (const via of ["websocket", "events"]) {
  test(`a mark is answered with what it changed (${via})`, async () => {
    const world = new World();
    world.pns.unseen = ["a", "b", "c"];
    if (via === "events") world.pns.blocked.add("websocket");
    const { client } = await world.tab();
    await world.clock.advance(750);
    const mark = { as: "read", ids: ["a", "c", "gone"] };
    assert.deepEqual(await client.mark(mark), { as: "read", changed: 2 });
    await settle();
    assert.equal(client.count, 1);
    assert.deepEqual(ids(await client.unseen({ ack: true, category: "comments" })), ["b"]);
    const posted = world.pns.posts.filter(({ path }) => path === "/messages").map(({ body }) => JSON.parse(body));
    const sent = [...requests(world), ...posted];
    assert.deepEqual(sent[0], { markNotifications: mark });
    assert.deepEqual(sent[1], { unseenNotificationDataRequest: { category: "comments", ack: true } });
    await client.seen({ unread: true, archived: false, category: "c" });
  });
}

test("requests wait for their turn, and each gets its own answer", async () => {
  const world = new World();
  world.pns.seen = ["a"];
  world.pns.unseen = ["b"];
  const { client } = await world.tab();
  const answers = await Promise.allSettled([
    client.seen({ after: "gone" }),
    client.unseen({ ack: true }),
    client.seen(),
  ]);
  assert.equal(answers[0].reason.code, "unknown_notification");
  assert.deepEqual(ids(answers[1].value), ["b"]);
  assert.deepEqual(ids(answers[2].value), ["a"]);
});

test("a request whose line broke is asked again on the next one", async () => {
  const world = new World();
  world.pns.unseen = ["a", "b"];
  const { client, arrived } = await world.tab();
  world.pns.silent = true;
  const asked = client.unseen();
  await settle();
  world.pns.silent = false;
  world.pns.lines[0].end(1006);
  await world.clock.advance(250);
  assert.deepEqual(ids(await asked), ["a", "b"]);
  assert.deepEqual(arrived, ["a", "b"]);
});

test("a request on a socket that closes is not sent on it, and is asked on the next one", async () => {
  const world = new World();
  world.pns.unseen = ["a"];
  const { client } = await world.tab();
  const [line] = world.pns.lines;
  line.closing = true;
  const asked = client.unseen();
  await settle();
  assert.deepEqual(line.sent, []);
  line.end(1006);
  await world.clock.advance(250);
  assert.deepEqual(ids(await asked), ["a"]);
});

test("a request while there is no line waits for one, 30 s at most", async () => {
  const world = new World();
  const { client } = await world.tab();
  world.pns.refusal = "unreachable";
  world.pns.lines[0].end(1006);
  const failing = fails(client.unseen(), "timeout");
  await world.clock.advance(30_000);
  await failing;
});

test("a request that PNS cannot serve now is asked again", async () => {
  const world = new World();
  const { client } = await world.tab();
  const { answer } = world.pns;
  for (const code of ["rate_limited", "unavailable"]) {
    world.pns.answer = () => ({ error: { code, message: "later" } });
    const asked = client.seen();
    await settle();
    world.pns.answer = answer;
    await world.clock.advance(1000);
    assert.deepEqual(await asked, []);
  }
});

for (const refusal of [{ status: 503, code: "store_unavailable", after: 2 }, { status: 429, after: 2 }, "unreachable"]) {
  test(`a single message that fails for now is sent again (${refusal.status ?? refusal})`, async () => {
    const world = new World();
    world.pns.unseen = ["a"];
    const { client } = await world.tab();
    world.pns.refusal = refusal;
    const marked = client.markSeen("a");
    await settle();
    world.pns.refusal = null;
    await world.clock.advance(2000);
    await marked;
    assert.deepEqual(world.pns.seen, ["a"]);
  });
}

test("a single message that is refused fails with the code", async () => {
  const world = new World();
  const { client } = await world.tab();
  world.pns.refusal = { status: 422, code: "unknown_notification" };
  await fails(client.markSeen("gone"), "unknown_notification");
  assert.equal(client.state, "live");
});

test("logged out and disconnected: requests fail, those that wait too", async () => {
  const world = new World();
  const { client } = await world.tab();
  world.pns.silent = true;
  const waiting = fails(client.unseen(), "unauthorized");
  await settle();
  world.pns.refusal = { status: 401, code: "unauthorized" };
  world.pns.lines[0].end(4501);
  await waiting;
  await fails(client.unseen(), "unauthorized");
  world.pns.refusal = null;
  client.connect();
  await settle();
  const open = fails(client.unseen(), "disconnected");
  client.disconnect();
  await open;
  await fails(client.seen(), "disconnected");
});

// ── notifications ───────────────────────────────────────────────────────────────────────────────────────

test("follow: each notification is told once, whatever happens to the line", async () => {
  const world = new World();
  world.pns.unseen = ["a"];
  const firsts = [];
  const tab = await world.tab({}, { follow: true, connect: false });
  tab.client.addEventListener("notifications", ({ detail }) => firsts.push(detail.first));
  tab.client.connect();
  await settle();
  assert.deepEqual(tab.arrived, ["a"]);
  world.pns.notify("b", "c");
  await settle();
  world.pns.lines[0].end(1006);
  await world.clock.advance(250);
  world.pns.notify("d");
  await settle();
  assert.deepEqual(tab.arrived, ["a", "b", "c", "d"]);
  assert.deepEqual(firsts, [true, false, false]);
  assert.deepEqual(world.pns.seen, [], "following marks nothing");
});

test("follow: what comes after an empty beginning is not from before", async () => {
  const world = new World();
  const firsts = [];
  const tab = await world.tab({}, { follow: true });
  tab.client.addEventListener("notifications", ({ detail }) => firsts.push(detail.first));
  world.pns.notify("a");
  await settle();
  assert.deepEqual(firsts, [false]);
});

test("without follow nothing is asked", async () => {
  const world = new World();
  world.pns.unseen = ["a"];
  await world.tab();
  assert.deepEqual(requests(world), []);
});

test("frames pass by for whoever wants them", async () => {
  const world = new World();
  const frames = [];
  const { client } = await world.tab({}, { frames: true, connect: false });
  client.addEventListener("frame", ({ detail }) => frames.push([detail.direction, detail.via, detail.text]));
  client.connect();
  await settle();
  await client.unseen();
  assert.deepEqual(frames, [
    ["in", "websocket", '{"newNotificationCountChanged":0}'],
    ["out", "websocket", '{"unseenNotificationDataRequest":{"ack":true}}'],
    ["in", "websocket", '{"newNotificationData":[]}'],
  ]);
});

for (const [name, way] of [["worker", { worker: true, locks: true }], ["locks", { locks: true }], ["alone", {}]]) {
  test(`${name}: an answer that never comes holds up no other request for longer than its own deadline`, async () => {
    const world = new World();
    world.pns.unseen = ["a"];
    const tab = await world.tab(way);
    const other = name === "alone" ? tab : await world.tab(way);
    world.pns.silent = true;
    const lost = fails(tab.client.unseen(), "timeout");
    await settle();
    await world.clock.advance(20_000);
    let found;
    other.client.unseen({ ack: true }).then((items) => (found = ids(items)));
    // The connection itself is alive: a heartbeat is the count, again.
    world.pns.tell();
    await world.clock.advance(9_000);
    world.pns.tell();
    world.pns.silent = false;
    await world.clock.advance(2_000);
    await lost;
    assert.deepEqual(found, ["a"]);
    assert.deepEqual([tab.client.state, other.client.state], ["live", "live"]);
    assert.equal(world.pns.open.length, 1);
  });
}

// Whatever was to carry the last marks of a page may be gone before it has heard them.
const GOES = [
  ["a worker that ends with its page", { worker: true, locks: true }, (world) => world.kill(`${URL_}/worker-${version}.js`)],
  ["a tab that leads and is frozen", { locks: true }, (world, first) => first.environment.freeze()],
  ["a line that is broken", {}, ({ pns }) => pns.open.at(-1).end(1006)],
];

for (const [what, way, goes] of GOES) {
  test(`what a page marks as it is left is marked: ${what}`, async () => {
    const world = new World();
    world.pns.seen = ["a", "b", "c"];
    world.pns.unseen = ["d", "e"];
    const [first, tab] = [await world.tab(way), await world.tab(way)];
    goes(world, first);
    const asked = [tab.client.mark({ as: "read", ids: ["a", "b"] }), tab.client.markSeen("d")];
    // Of whichever user the cookies name by then, all could be another's.
    asked.push(tab.client.mark({ as: "read", all: true }));
    world.pns.posts.length = 0;
    tab.environment.window.dispatchEvent(new Event("pagehide"));
    await settle();
    assert.deepEqual([...world.pns.inboxOf("alice").read], ["a", "b"]);
    assert.deepEqual(world.pns.seen, ["a", "b", "c", "d"]);
    const said = world.pns.posts.filter(({ path }) => path === "/messages");
    assert.ok(said.every(({ keepalive }) => keepalive));
    assert.equal(said.length, 2);
    tab.client.disconnect();
    for (const each of asked) await fails(each, "disconnected");
  });
}

test("what was answered is not said again by a page that is left", async () => {
  const world = new World();
  world.pns.seen = ["a"];
  const tab = await world.tab({ worker: true });
  await tab.client.mark({ as: "read", ids: ["a"] });
  world.pns.posts.length = 0;
  tab.environment.window.dispatchEvent(new Event("pagehide"));
  await settle();
  assert.deepEqual(world.pns.posts, []);
});
