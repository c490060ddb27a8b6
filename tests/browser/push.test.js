// Web Push for one browser: what the user wishes, what the browser has, and what PNS knows, in step.

import assert from "node:assert/strict";
import { test } from "node:test";

import { WebPush } from "../../pns/browser/push.js";
import { KEY, OTHER_KEY, PushWorld, URL_ } from "./push-world.js";
import { settle } from "./world.js";

const SCRIPT = `${URL_}/push-worker.js`;
const INSTALL = ["subscribe 1", "POST /devices"];
const REFUSED = { status: 422, code: "invalid" };

// ── whether it can be had ─────────────────────────────────────────────────────────────────────────────────

for (const missing of ["serviceWorker", "Notification", "PushManager", "BroadcastChannel", "locks"]) {
  test(`a browser without ${missing}: unsupported, and nobody is asked`, async () => {
    const world = new PushWorld();
    const push = world.tab({}, { [missing]: undefined });
    assert.equal(push.state, "unknown");
    assert.equal(await push.start(), "unsupported");
    for (const act of ["enable", "disable", "pause"]) assert.equal(await push[act](), "unsupported");
    await push.dismiss();
    assert.deepEqual(world.log.take(), []);
  });
}

test("where there is no browser at all: unsupported", async () => {
  assert.equal(await new WebPush(URL_).start(), "unsupported");
});

test("a private window, where the browser refuses workers: unsupported, and nothing is thrown", async () => {
  const world = new PushWorld();
  world.permission = "granted";
  world.broken = async () => Promise.reject(new DOMException("private", "SecurityError"));
  const push = world.tab();
  assert.equal(await push.start(), "unsupported");
  await push.dismiss();
  assert.equal(await push.pause(), "unknown");
});

test("PNS on another origin needs a worker of the page's own", async () => {
  const world = new PushWorld();
  world.permission = "granted";
  const environment = { origin: "https://shop.test" };
  assert.equal(await world.tab({}, environment).start(), "unsupported");
  const push = world.tab({ worker: "https://shop.test/my-worker.js", title: "Neu" }, environment);
  await push.start();
  assert.equal(await push.enable(), "on");
  assert.equal(world.registration.script, `https://shop.test/my-worker.js?pns=${encodeURIComponent(URL_)}&title=Neu`);
  assert.equal(world.registration.scope, "https://shop.test/my-worker.js/");
});

test("PNS has it off, or does not know of it: unsupported", async () => {
  const world = new PushWorld();
  world.pns.key = "";
  assert.equal(await world.tab().start(), "unsupported");
  world.pns.refusal = { GET: { status: 404, code: "not_found" } };
  assert.equal(await world.tab().start(), "unsupported");
});

test("PNS is away: unknown, until it is asked again", async () => {
  const world = new PushWorld();
  const push = world.tab();
  for (const refusal of ["unreachable", { status: 503, code: "unavailable" }]) {
    world.pns.refusal = { GET: refusal };
    assert.equal(await push.start(), "unknown");
  }
  world.pns.refusal = {};
  assert.equal(await push.start(), "off");
});

test("what was refused in the browser is denied; nobody is asked for it again at a start", async () => {
  const world = new PushWorld();
  world.permission = "denied";
  assert.equal(await world.tab().start(), "denied");
  assert.deepEqual(world.log.take(), ["GET /devices/networks"]);
});

// ── on ────────────────────────────────────────────────────────────────────────────────────────────────────

test("on: asked in the click's own turn, subscribed at the browser, then told to PNS", async () => {
  const world = new PushWorld();
  const push = world.tab({ title: "Neu" });
  assert.equal(await push.start(), "off");
  world.log.take();
  const done = push.enable();
  assert.deepEqual(world.log.take(), ["ask"], "before anything is awaited");
  assert.equal(push.state, "busy");
  assert.equal(await done, "on");
  assert.deepEqual(world.log.take(), [`register ${SCRIPT}?title=Neu`, ...INSTALL]);
  const subscription = { endpoint: "https://push.test/1", expirationTime: null, keys: { p256dh: "p", auth: "a" } };
  const word = { application_server_key: KEY, declarative: true, silent: true, shown: [] };
  assert.deepEqual(world.pns.bodies, [{ network: "webpush", subscription, platform: "web", ...word }]);
  assert.deepEqual(world.registration.pushManager.current.options.userVisibleOnly, true);
  assert.deepEqual(push.states, ["off", "busy", "on"]);
  assert.equal(push.problem, "");
});

for (const [answer, state] of [["denied", "denied"], ["default", "off"]]) {
  test(`the user answers ${answer}: ${state}, and nothing has happened`, async () => {
    const world = new PushWorld();
    world.answer = answer;
    const push = world.tab();
    await push.start();
    world.log.take();
    assert.equal(await push.enable(), state);
    assert.deepEqual(world.log.take(), ["ask"]);
    assert.equal(world.registration, undefined);
    assert.equal(push.problem, "");
  });
}

for (const [refusal, problem] of [["unreachable", "unreachable"], [REFUSED, "invalid"], [{ status: 401, code: "unauthorized" }, "unauthorized"]]) {
  test(`PNS does not take it (${problem}): off again, at the browser too`, async () => {
    const world = new PushWorld();
    const push = world.tab();
    await push.start();
    world.pns.refusal = { POST: refusal };
    assert.equal(await push.enable(), "off");
    assert.equal(push.problem, problem);
    assert.equal(world.registration, undefined);
    assert.equal(world.log.take().at(-1), "unregister");
    world.pns.refusal = {};
    assert.equal(await push.enable(), "on");
    assert.equal(push.problem, "");
  });
}

test("a push service that refuses, or says nothing at all: off, with the reason", async () => {
  const world = new PushWorld();
  const push = world.tab();
  await push.start();
  const { register } = world.container;
  let broken = async () => Promise.reject(new DOMException("no service", "AbortError"));
  world.container.register = async (...given) => {
    const registration = await register(...given);
    registration.pushManager.broken = () => broken();
    return registration;
  };
  assert.equal(await push.enable(), "off");
  assert.equal(push.problem, "AbortError");
  broken = () => new Promise(() => {});
  const done = push.enable();
  await settle();
  assert.equal(push.state, "busy");
  await world.clock.advance(30_000);
  assert.equal(await done, "off");
  assert.equal(push.problem, "timeout");
});

test("a worker that cannot be installed is noticed at once, and tried again at the next click", async () => {
  const world = new PushWorld();
  const push = world.tab();
  await push.start();
  world.installed = "redundant";
  push.enable();
  await settle();
  assert.deepEqual([push.state, push.problem], ["off", "worker"]);
  world.installed = "activated";
  assert.equal(await push.enable(), "on");
});

test("a second click while the first is under way is none", async () => {
  const world = new PushWorld();
  const push = world.tab();
  await push.start();
  world.log.take();
  const done = push.enable();
  assert.equal(await push.enable(), "busy");
  assert.equal(await push.disable(), "busy");
  await done;
  assert.equal(world.log.take().filter((word) => word === "ask").length, 1);
});

test("a worker of a scope above is not ours", async () => {
  const world = new PushWorld();
  const { register } = (world.tab(), world.container);
  await register("https://host.test/sw.js", { scope: "https://host.test/" });
  world.permission = "granted";
  const push = world.tab();
  assert.equal(await push.start(), "off");
  await push.enable();
  await push.disable();
  assert.deepEqual([...world.registrations.keys()], ["https://host.test/"]);
});

// ── each start ────────────────────────────────────────────────────────────────────────────────────────────

test("each start tells PNS again, and asks the user nothing", async () => {
  const world = new PushWorld();
  await world.on();
  assert.equal(await world.tab().start(), "on");
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "POST /devices"]);
});

test("another key of the application server: subscribed anew", async () => {
  const world = new PushWorld();
  await world.on();
  world.pns.key = OTHER_KEY;
  assert.equal(await world.tab().start(), "on");
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "unsubscribe", "subscribe 2", "POST /devices"]);
  await world.tab().start();
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "POST /devices"]);
});

test("a page that was open when PNS came back with another key: subscribed anew, by itself", async () => {
  const world = new PushWorld();
  const push = await world.on();
  assert.equal(await push.check(), "on");
  assert.deepEqual(world.log.take(), ["GET /devices/networks"], "the same key");
  world.pns.key = OTHER_KEY;
  assert.equal(await push.check(), "on");
  const anew = ["GET /devices/networks", "unsubscribe", "subscribe 2", "POST /devices"];
  assert.deepEqual(world.log.take(), ["GET /devices/networks", ...anew]);
  world.pns.refusal = { GET: "unreachable" };
  assert.equal(await push.check(), "on", "PNS is away: nothing is undone");
  world.log.take();
  await push.pause();
  world.log.take();
  await push.check();
  assert.deepEqual(world.log.take(), [], "nobody is logged in");
});

test("PNS says that the subscription is another key's: subscribed anew, once", async () => {
  const world = new PushWorld();
  const push = world.tab();
  await push.start();
  world.pns.key = OTHER_KEY;
  world.log.take();
  assert.equal(await push.enable(), "on");
  const anew = ["unsubscribe", "subscribe 2", "POST /devices"];
  assert.deepEqual(world.log.take(), ["ask", `register ${SCRIPT}`, "subscribe 1", "POST /devices", ...anew]);
  assert.equal(world.pns.bodies.at(-1).application_server_key, OTHER_KEY);
});

test("a PNS of before takes the device without a word of the page", async () => {
  const world = new PushWorld();
  world.pns.before = true;
  const push = await world.on();
  assert.equal(push.state, "on");
  assert.deepEqual(Object.keys(world.pns.bodies.at(-1)), ["network", "subscription", "platform"]);
});

test("a page that opens takes off what was seen elsewhere", async () => {
  const world = new PushWorld();
  await world.on();
  for (const id of ["n1", "n2", ""]) await world.registration.showNotification(id, { tag: id, data: { id } });
  world.pns.unseen.add("n2");
  await world.tab().start();
  assert.deepEqual(world.pns.bodies.at(-1).shown, ["n1", "n2"]);
  assert.deepEqual(world.registration.shown.map(({ title }) => title), ["n2", ""]);
});

test("a key with padding is the same key", async () => {
  const world = new PushWorld();
  await world.on();
  world.pns.key = `${KEY}=`;
  await world.tab().start();
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "POST /devices"]);
});

test("a subscription that the browser has lost is made anew", async () => {
  const world = new PushWorld();
  await world.on();
  world.registration.pushManager.current = null;
  assert.equal(await world.tab().start(), "on");
  assert.deepEqual(world.log.take(), ["GET /devices/networks", "subscribe 2", "POST /devices"]);
});

test("PNS is away at a start: what is on stays on", async () => {
  const world = new PushWorld();
  await world.on();
  world.pns.refusal = { POST: "unreachable" };
  const push = world.tab();
  assert.equal(await push.start(), "on");
  assert.equal(push.problem, "", "the user has done nothing that could fail");
});

for (const [status, code] of [[401, "unauthorized"], [403, "forbidden"]]) {
  test(`PNS knows nobody at a start (${status}): off, at the browser too, and on again at the next`, async () => {
    const world = new PushWorld();
    await world.on();
    const { registration } = world;
    await registration.showNotification("hers", { data: { id: "n1" } });
    world.pns.refusal = { POST: { status, code } };
    const push = world.tab();
    assert.equal(await push.start(), "off");
    assert.deepEqual([push.problem, registration.pushManager.current, registration.shown], ["", null, []]);
    world.pns.refusal = {};
    assert.equal(await push.start(), "on");
  });
}

test("PNS hangs at a start: given up after ten seconds, and the other tabs go on", async () => {
  const world = new PushWorld();
  const other = await world.on();
  const push = world.tab();
  world.pns.refusal = { POST: "never" };
  push.start();
  await settle();
  const done = other.disable();
  await world.clock.advance(9_999);
  assert.equal(other.state, "busy", "one tab at a time");
  await world.clock.advance(1);
  assert.equal(other.state, "off");
  await done;
});

test("PNS refuses it at a start: off", async () => {
  const world = new PushWorld();
  await world.on();
  world.pns.refusal = { POST: REFUSED };
  assert.equal(await world.tab().start(), "off");
  assert.equal(world.registration, undefined);
});

test("the push service is away at a start: off for now, and on again at the next", async () => {
  const world = new PushWorld();
  await world.on();
  const { pushManager } = world.registration;
  pushManager.current = null;
  pushManager.broken = async () => Promise.reject(new DOMException("no service", "AbortError"));
  assert.equal(await world.tab().start(), "off");
  pushManager.broken = null;
  assert.equal(await world.tab().start(), "on");
});

test("a permission that was taken back, and given again", async () => {
  const world = new PushWorld();
  const push = await world.on();
  for (const [permission, state] of [["denied", "denied"], ["default", "off"], ["granted", "on"]]) {
    world.permission = permission;
    world.changes.dispatchEvent(new Event("change"));
    await settle();
    assert.equal(push.state, state);
  }
  assert.deepEqual(push.states, ["denied", "off", "on"]);
});

test("who stopped before the browser has told the permission hears no more of it", async () => {
  const world = new PushWorld();
  let tell;
  const push = world.tab({}, { permissions: { query: () => new Promise((resolve) => (tell = resolve)) } });
  assert.equal(await push.start(), "off");
  push.stop();
  tell(world.changes);
  await settle();
  world.permission = "denied";
  world.changes.dispatchEvent(new Event("change"));
  await settle();
  assert.equal(push.state, "off");
});

// ── off ───────────────────────────────────────────────────────────────────────────────────────────────────

test("off: at PNS first, then at the browser, and nothing is left", async () => {
  const world = new PushWorld();
  const push = await world.on();
  const { registration } = world;
  await registration.showNotification("shown", { data: { id: "n1" } });
  assert.equal(await push.disable(), "off");
  assert.deepEqual(world.log.take(), ["DELETE /devices/device-1", "unsubscribe", "unregister"]);
  assert.deepEqual([world.pns.devices.size, registration.shown.length, world.registration], [0, 0, undefined]);
  assert.deepEqual(push.states, ["busy", "off"]);
  await world.tab().start();
  assert.deepEqual(world.log.take(), ["GET /devices/networks"], "off stays off");
});

for (const refusal of ["unreachable", { status: 404, code: "not_found" }, { status: 401, code: "unauthorized" }]) {
  test(`off works where PNS answers ${refusal.status ?? "nothing"}`, async () => {
    const world = new PushWorld();
    const push = await world.on();
    world.pns.refusal = { DELETE: refusal };
    assert.equal(await push.disable(), "off");
    assert.deepEqual(world.log.take().slice(1), ["unsubscribe", "unregister"]);
    assert.equal(push.problem, "");
  });
}

test("a page that was never told the device's name learns it, to take it back", async () => {
  const world = new PushWorld();
  await world.on();
  world.pns.refusal = { POST: "unreachable" };
  const push = world.tab();
  await push.start();
  world.pns.refusal = {};
  world.log.take();
  await push.disable();
  assert.deepEqual(world.log.take(), ["POST /devices", "DELETE /devices/device-1", "unsubscribe", "unregister"]);
});

// ── tabs, clicks, and what is shown ───────────────────────────────────────────────────────────────────────

test("all tabs know it at once", async () => {
  const world = new PushWorld();
  const tabs = [world.tab(), world.tab(), world.tab()];
  for (const push of tabs) await push.start();
  tabs[2].stop();
  await tabs[0].enable();
  await settle();
  assert.deepEqual(tabs.map(({ state }) => state), ["on", "on", "off"]);
  await tabs[1].disable();
  await settle();
  assert.deepEqual(tabs.map(({ state }) => state), ["off", "off", "off"]);
  assert.equal(world.pns.devices.size, 0);
});

test("what another tab has turned off and on again is another device, and is taken back as such", async () => {
  const world = new PushWorld();
  const push = await world.on();
  const other = world.tab();
  await other.start();
  await push.disable();
  await push.enable();
  await settle();
  assert.deepEqual([...world.pns.devices.keys()], ["device-2"]);
  await other.disable();
  assert.deepEqual([...world.pns.devices.keys()], []);
});

test("tabs that start at the same time subscribe once", async () => {
  const world = new PushWorld();
  await world.on();
  world.pns.key = OTHER_KEY;
  await Promise.all([world.tab(), world.tab(), world.tab()].map((push) => push.start()));
  assert.deepEqual(world.log.take().filter((word) => word.includes("subscribe")), ["unsubscribe", "subscribe 2"]);
});

test("what was seen in the page is closed, by its id or all of it", async () => {
  const world = new PushWorld();
  const push = await world.on();
  for (const id of ["a", "b", "c"]) await world.registration.showNotification(id, { data: { id } });
  await world.registration.showNotification("a tab's own");
  const titles = () => world.registration.shown.map(({ title }) => title);
  await push.dismiss(["a", "c", "x"]);
  assert.deepEqual(titles(), ["b", "a tab's own"]);
  await push.dismiss([]);
  assert.equal(titles().length, 2);
  await push.dismiss();
  assert.deepEqual(titles(), []);
});

/** What the worker would say to a page; returns what the page answers, and how it is told to go. */
function click(world, data) {
  const answers = [];
  const port = { postMessage: (answer) => answers.push(answer) };
  world.container.dispatchEvent(Object.assign(new Event("message"), { data, ports: port ? [port] : [] }));
  return { answers, go: () => port.onmessage?.() };
}

test("a click that this page takes leads there, unless the page has a way of its own", async () => {
  const world = new PushWorld();
  const push = await world.on();
  const detail = { id: "n1", url: "https://host.test/orders/7", title: "t", body: "", icon: "", when: 1 };
  const { answers, go } = click(world, { pns: URL_, click: detail });
  assert.deepEqual(answers, ["here"]);
  assert.deepEqual(world.log.take(), [], "not before the worker has chosen this page");
  go();
  assert.deepEqual(world.log.take(), ["go https://host.test/orders/7"]);
  const heard = [];
  push.addEventListener("click", (event) => {
    heard.push(event.detail);
    event.preventDefault();
  });
  click(world, { pns: URL_, click: detail }).go();
  assert.deepEqual([heard, world.log.take()], [[detail], []]);
});

test("messages of other workers are none of ours", async () => {
  const world = new PushWorld();
  await world.on();
  for (const data of [null, "hello", {}, { pns: "https://other.test", click: {} }, { pns: URL_ }]) {
    assert.deepEqual(click(world, data).answers, []);
  }
});

// ── a login that is no cookie ───────────────────────────────────────────────────────────────────────────

test("with headers: each call carries them, and no cookie", async () => {
  const world = new PushWorld();
  let calls = 0;
  const push = world.tab({ headers: async () => ({ authorization: `alice ${++calls}` }) });
  await push.start();
  assert.equal(await push.enable(), "on");
  assert.equal(await push.disable(), "off");
  assert.deepEqual(world.pns.logins, ["alice 2", "alice 3"]);
  assert.deepEqual([world.pns.devices.size, world.log.take().includes("POST /devices")], [0, true]);
});

for (const [name, headers] of [
  ["throws", () => { throw new Error("no token"); }],
  ["rejects", async () => { throw new Error("no token"); }],
]) {
  test(`with headers() that ${name}: nothing is known, and nothing undone`, async () => {
    const world = new PushWorld();
    await world.on();
    const push = world.tab({ headers });
    assert.equal(await push.start(), "unknown");
    assert.equal(world.pns.devices.size, 1);
  });
}
