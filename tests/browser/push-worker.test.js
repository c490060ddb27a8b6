// The service worker: whatever is pushed, something is shown, and a click leads where it should.

import assert from "node:assert/strict";
import { test } from "node:test";

import { KEY, OTHER_KEY, URL_, WorkerWorld } from "./push-world.js";

const MESSAGE = {
  id: "n1",
  title: "Order shipped",
  body: "It will be with you on Tuesday.",
  url: "/orders/7",
  icon: "/truck.png",
  badge: 3,
  category: "orders",
  tag: "n1",
  data: { any: 1 },
  origin: "EXPLICIT",
  when: 1_790_000_000_000,
};

const plain = (value) => JSON.parse(JSON.stringify(value));

// ── a push ────────────────────────────────────────────────────────────────────────────────────────────────

test("a push is shown with all that it says", async () => {
  const world = new WorkerWorld();
  await world.send(MESSAGE);
  const [{ title, body, icon, tag, data, timestamp, renotify }] = world.shown;
  assert.deepEqual([title, body, icon, tag], ["Order shipped", MESSAGE.body, "https://host.test/truck.png", "n1"]);
  assert.deepEqual(plain(data), { id: "n1", url: "/orders/7", when: MESSAGE.when });
  assert.equal(timestamp, MESSAGE.when);
  assert.equal(renotify, false);
  assert.deepEqual(world.badges, [3]);
});

test("what has no title has the page's, else the worker's own", async () => {
  for (const [query, title] of [["", "New notification"], ["?title=Neue%20Meldung", "Neue Meldung"]]) {
    const world = new WorkerWorld(`${URL_}/push-worker.js${query}`);
    await world.send({ id: "n1", body: "only a text", badge: 1 });
    assert.deepEqual([world.shown[0].title, world.shown[0].body], [title, "only a text"]);
  }
});

for (const [name, text] of [
  ["nothing", undefined],
  ["no JSON", "{"],
  ["an empty text", ""],
  ["null", "null"],
  ["a number", "7"],
  ["a list", "[1]"],
  ["a string", '"hello"'],
  ["members of wrong types", JSON.stringify({ id: 7, title: {}, body: [], url: null, icon: 1, tag: {}, badge: "x", when: "y" })],
  ["ids that are none", JSON.stringify({ dismissed: "n1" })],
  ["an address that is none", JSON.stringify({ title: "t", url: "http://[", icon: "http://[" })],
]) {
  test(`pushed ${name}: something is shown, and nothing thrown`, async () => {
    const world = new WorkerWorld();
    await world.push(text);
    assert.equal(world.shown.length, 1);
    assert.ok(world.shown[0].title);
    assert.deepEqual(world.badges, []);
  });
}

test("a browser that refuses the options shows the title", async () => {
  const world = new WorkerWorld();
  world.registration.strict = true;
  await world.send(MESSAGE);
  assert.deepEqual(world.shown.map(({ title }) => title), ["Order shipped"]);
});

test("a user who has refused it meanwhile: nothing is thrown", async () => {
  const world = new WorkerWorld();
  world.registration.showNotification = async () => Promise.reject(new TypeError("no permission"));
  await world.send(MESSAGE);
  assert.deepEqual(world.badges, [3]);
});

test("under one tag only the newest is shown, and is news; the same one again under its own is not", async () => {
  const world = new WorkerWorld();
  for (const id of ["n1", "n2"]) await world.send({ ...MESSAGE, id, tag: "basket" });
  for (let attempt = 0; attempt < 2; attempt++) await world.send({ ...MESSAGE, id: "n3", tag: "n3" });
  assert.deepEqual(world.shown.map(({ data, renotify }) => [data.id, renotify]), [["n2", true], ["n3", false]]);
});

test("what has no tag is shown once, however often it comes", async () => {
  const world = new WorkerWorld();
  for (const id of ["n1", "n2", "n1"]) await world.send({ id, title: id });
  assert.deepEqual(world.shown.map(({ title, renotify }) => [title, renotify]), [["n2", false], ["n1", false]]);
});

test("an icon is https or the page's own", async () => {
  const world = new WorkerWorld();
  const icons = { "https://cdn.test/i.png": "https://cdn.test/i.png", "/i.png": "https://host.test/i.png" };
  for (const icon of ["http://cdn.test/i.png", "javascript:1", "data:image/png,x", ""]) icons[icon] = undefined;
  for (const [icon, expected] of Object.entries(icons)) {
    await world.send({ ...MESSAGE, icon });
    assert.equal(world.shown[0].icon, expected, icon);
  }
});

test("what was seen elsewhere is closed, and the badge says how many are left", async () => {
  const world = new WorkerWorld();
  for (const id of ["n1", "n2", "n3"]) await world.send({ ...MESSAGE, id, tag: id });
  await world.send({ dismissed: ["n1", "n3", "never"], badge: 1 });
  assert.deepEqual(world.shown.map(({ data }) => data.id), ["n2"]);
  await world.send({ dismissed: ["n2"], badge: 0 });
  assert.equal(world.shown.length, 0);
  assert.deepEqual(world.badges, [3, 3, 3, 1, 0]);
});

const FORM = {
  web_push: 8030,
  mutable: true,
  app_badge: 3,
  notification: {
    title: "Order shipped",
    body: MESSAGE.body,
    navigate: "https://host.test/orders/7",
    icon: "https://host.test/truck.png",
    tag: "n1",
    timestamp: MESSAGE.when,
    data: { id: "n1", url: "/orders/7", when: MESSAGE.when },
    app_badge: 3,
  },
};
const { title: _title, body: _body, url: _url, icon: _icon, tag: _tag, ...REST } = MESSAGE;

for (const [name, send, badges] of [
  ["both forms", (world) => world.send({ ...MESSAGE, ...FORM }), [3]],
  ["the own form cut", (world) => world.send({ ...REST, ...FORM }), [3]],
  ["a notification that the browser proposes", (world) => world.propose(FORM), []],
]) {
  test(`${name}: shown as ever`, async () => {
    const world = new WorkerWorld();
    await send(world);
    const [{ title, body, icon, tag, data, timestamp }] = world.shown;
    assert.deepEqual([title, body, icon, tag], ["Order shipped", MESSAGE.body, "https://host.test/truck.png", "n1"]);
    assert.deepEqual(plain(data), { id: "n1", url: "/orders/7", when: MESSAGE.when });
    assert.equal(timestamp, MESSAGE.when);
    assert.deepEqual(world.badges, badges);
  });
}

test("a proposed notification without a title of its own has the page's", async () => {
  const world = new WorkerWorld(`${URL_}/push-worker.js?title=Neu`);
  const data = { id: "n1", url: "", when: 1, untitled: true };
  await world.propose({ notification: { title: "New notification", body: "only a text", tag: "n1", data } });
  assert.deepEqual([world.shown[0].title, world.shown[0].body], ["Neu", "only a text"]);
});

test("several at once are taken one after the other, as they came", async () => {
  const world = new WorkerWorld();
  const { showNotification } = world.registration;
  world.registration.showNotification = async function (...given) {
    await new Promise((resolve) => setImmediate(resolve));
    return showNotification.apply(this, given);
  };
  const sent = [{ ...MESSAGE, badge: 1 }, { dismissed: ["n1"], badge: 0 }, { ...MESSAGE, id: "n2", tag: "n2", badge: 1 }];
  await Promise.all(sent.map((message) => world.send(message)));
  assert.deepEqual(world.shown.map(({ data }) => data.id), ["n2"]);
  assert.deepEqual(world.badges, [1, 0, 1]);
});

test("a browser without badges does without", async () => {
  const world = new WorkerWorld();
  delete world.self.navigator.setAppBadge;
  await world.send(MESSAGE);
  assert.equal(world.shown.length, 1);
});

// ── a click ───────────────────────────────────────────────────────────────────────────────────────────────

async function clicked(world, message = MESSAGE) {
  await world.send(message);
  await world.click(world.shown[0]);
  assert.equal(world.shown.length, 0, "a click closes it");
  return world.log.take();
}

test("no window is open: a new one", async () => {
  assert.deepEqual(await clicked(new WorkerWorld()), ["open https://host.test/orders/7"]);
});

test("a window of that address gets the focus", async () => {
  const world = new WorkerWorld();
  world.window("https://host.test/");
  world.window("https://host.test/orders/7");
  assert.deepEqual(await clicked(world), ["focus https://host.test/orders/7"]);
});

test("a page with a bell is asked, gets the focus, and goes there itself", async () => {
  const world = new WorkerWorld();
  world.window("https://host.test/without");
  const page = world.window("https://host.test/inbox", { bell: true });
  world.window("https://host.test/other", { bell: true });
  assert.deepEqual(await clicked(world), [
    "ask https://host.test/without",
    "ask https://host.test/inbox",
    "ask https://host.test/other",
    "focus https://host.test/inbox",
    "follow https://host.test/orders/7 in https://host.test/inbox",
  ]);
  const { title, body, icon, when, id } = page.click;
  assert.deepEqual([id, title, body, when], ["n1", "Order shipped", MESSAGE.body, MESSAGE.when]);
  assert.equal(icon, "https://host.test/truck.png");
});

test("a page that takes it goes there even where the browser gives no focus", async () => {
  const world = new WorkerWorld();
  world.window("https://host.test/", { bell: true, locked: true });
  assert.deepEqual((await clicked(world)).slice(1), ["follow https://host.test/orders/7 in https://host.test/"]);
});

test("pages that do not answer are not waited for", async () => {
  const world = new WorkerWorld();
  world.window("https://host.test/frozen");
  assert.deepEqual(await clicked(world), ["ask https://host.test/frozen", "open https://host.test/orders/7"]);
});

test("a frame inside of a page is no window", async () => {
  const world = new WorkerWorld();
  world.window("https://host.test/frame", { bell: true, frameType: "nested" });
  assert.deepEqual(await clicked(world), ["open https://host.test/orders/7"]);
});

test("an address of another origin is a new window's", async () => {
  const world = new WorkerWorld();
  world.window("https://host.test/", { bell: true });
  const url = "https://example.com/x";
  assert.deepEqual(await clicked(world, { ...MESSAGE, url }), [`open ${url}`]);
});

for (const url of ["", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://["]) {
  test(`without an address to go to (${url}): the page that is there, else the site`, async () => {
    const message = { ...MESSAGE, url };
    const world = new WorkerWorld();
    assert.deepEqual(await clicked(world, message), ["open https://host.test/"]);
    world.window("https://host.test/plain");
    assert.deepEqual((await clicked(world, message)).slice(1), ["focus https://host.test/plain"]);
    world.window("https://host.test/bell", { bell: true });
    assert.deepEqual((await clicked(world, message)).slice(2), [
      "focus https://host.test/bell",
      "follow nothing in https://host.test/bell",
    ]);
  });
}

test("a notification that is none of ours, or a browser that opens nothing: nothing is thrown", async () => {
  const world = new WorkerWorld();
  world.self.clients.openWindow = async () => Promise.reject(new DOMException("no", "InvalidAccessError"));
  world.self.clients.matchAll = async () => Promise.reject(new Error("no"));
  await world.click({ title: "foreign", body: "", data: null, close: () => world.log.add("close") });
  assert.deepEqual(world.log.take(), ["close"]);
});

// ── another subscription ──────────────────────────────────────────────────────────────────────────────────

test("a subscription that the browser has replaced is told to PNS", async () => {
  const world = new WorkerWorld();
  const newSubscription = await world.registration.pushManager.subscribe({ applicationServerKey: KEY });
  world.log.take();
  await world.change({ newSubscription });
  assert.deepEqual(world.log.take(), ["POST /devices"]);
  const subscription = { endpoint: "https://push.test/1", expirationTime: null, keys: { p256dh: "p", auth: "a" } };
  const word = { application_server_key: KEY, declarative: true, silent: false };
  assert.deepEqual(world.pns.bodies, [{ network: "webpush", subscription, platform: "web", ...word }]);
});

test("a PNS of before is told no more than the device", async () => {
  const world = new WorkerWorld();
  world.pns.before = true;
  await world.change();
  assert.deepEqual(Object.keys(world.pns.bodies.at(-1)), ["network", "subscription", "platform"]);
});

test("one that was made anew with the old key is made with PNS's own", async () => {
  const world = new WorkerWorld();
  const { options } = await world.registration.pushManager.subscribe({ applicationServerKey: OTHER_KEY });
  world.registration.pushManager.current = null;
  world.log.take();
  await world.change({ oldSubscription: { options } });
  const anew = ["unsubscribe", "subscribe 3", "POST /devices"];
  assert.deepEqual(world.log.take(), ["subscribe 2", "POST /devices", ...anew]);
  assert.equal(world.pns.bodies.at(-1).application_server_key, KEY);
});

test("one that has ended is made anew, with the old options where they are known", async () => {
  const world = new WorkerWorld();
  world.pns.key = OTHER_KEY;
  const { options } = await world.registration.pushManager.subscribe({ applicationServerKey: OTHER_KEY });
  world.registration.pushManager.current = null;
  world.log.take();
  await world.change({ oldSubscription: { options } });
  assert.deepEqual(world.log.take(), ["subscribe 2", "POST /devices"]);
  assert.equal(world.registration.pushManager.current.options.applicationServerKey, options.applicationServerKey);
  assert.equal(world.registration.pushManager.current.options.userVisibleOnly, true);
  world.registration.pushManager.current = null;
  await world.change();
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "subscribe 3", "POST /devices"]);
});

test("PNS is away, or has Web Push off: nothing is thrown", async () => {
  const world = new WorkerWorld();
  world.pns.refusal = { GET: "unreachable", POST: "unreachable" };
  await world.change();
  world.pns.refusal = { POST: "unreachable" };
  world.pns.key = "";
  await world.change();
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "GET /devices/networks"]);
});

test("a worker of the page's own knows by its address where PNS is", async () => {
  const world = new WorkerWorld(`https://host.test/my-worker.js?pns=${encodeURIComponent(URL_ + "/")}&title=T`);
  await world.change();
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "subscribe 1", "POST /devices"]);
  await world.send({ id: "n1", url: "orders" });
  assert.equal(world.shown[0].title, "T");
  await world.click(world.shown[0]);
  assert.deepEqual(world.log.take(), ["open https://host.test/orders"]);
});
