// A browser with Web Push, and a PNS, that stand still: time, and what is registered, subscribed and shown, is the
// test's.

import { readFileSync } from "node:fs";
import vm from "node:vm";

import { WebPush } from "../../pns/browser/push.js";
import { Clock } from "./world.js";

export const URL_ = "https://host.test/pns";
export const KEY = "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM";
export const OTHER_KEY = KEY.replace("BNc", "BNd");

const SOURCE = readFileSync(new URL("../../pns/browser/push-worker.js", import.meta.url), "utf8");

/** The steps of what happened, in their order, as short words. */
export class Log {
  #words = [];
  #awaited = {};

  add(word) {
    this.#words.push(word);
    const act = this.#awaited[word];
    delete this.#awaited[word];
    act?.();
  }

  /** Does something in the middle of the next `word`, what came before forgotten. */
  at(word, act) {
    this.#awaited[word] = () => {
      this.take();
      act();
    };
  }

  /** What happened since the last time. */
  take() {
    return this.#words.splice(0);
  }
}

class Notification {
  constructor(registration, title, options) {
    Object.assign(this, { registration, title, ...structuredClone(options) });
  }

  close() {
    const { shown } = this.registration;
    if (shown.includes(this)) shown.splice(shown.indexOf(this), 1);
  }
}

/** A push service's side of a registration; `broken` is what `subscribe` does instead. */
class PushManager {
  current = null;
  broken = null;

  constructor(registration, world) {
    Object.assign(this, { registration, world });
  }

  async getSubscription() {
    return this.current;
  }

  async subscribe({ userVisibleOnly, applicationServerKey: key }) {
    if (this.broken) return this.broken();
    if (!this.registration.active) throw new DOMException("no active worker", "AbortError");
    if (this.current) throw new DOMException("another key", "InvalidStateError");
    const bytes = typeof key === "string" ? Uint8Array.from(Buffer.from(key, "base64url")).buffer : key;
    const { log } = this.world;
    const endpoint = `https://push.test/${++this.world.subscriptions}`;
    log.add(`subscribe ${this.world.subscriptions}`);
    this.current = {
      endpoint,
      options: { userVisibleOnly, applicationServerKey: bytes },
      toJSON: () => ({ endpoint, expirationTime: null, keys: { p256dh: "p", auth: "a" } }),
      unsubscribe: async () => {
        log.add("unsubscribe");
        this.current = null;
        return true;
      },
    };
    return this.current;
  }
}

class Registration {
  shown = [];
  active = null;
  strict = false; // refuses options, as an old browser

  constructor(scope, world) {
    this.scope = scope;
    this.pushManager = new PushManager(this, world);
  }

  async showNotification(title, options = {}) {
    if (this.strict && options.tag) throw new TypeError("refused");
    if (options.renotify && !options.tag) throw new TypeError("renotify needs a tag");
    for (const old of this.shown.filter(({ tag }) => tag && tag === options.tag)) old.close();
    this.shown.push(new Notification(this, title, options));
  }

  async getNotifications({ tag } = {}) {
    return this.shown.filter((one) => tag === undefined || one.tag === tag);
  }
}

/** PNS's endpoints for devices, of one user, each named after its subscription; `refusal` is answered to a method instead. */
export class FakePNS {
  key = KEY;
  refusal = {};
  devices = new Map();
  bodies = [];
  user = ""; // stands before the names of devices
  logins = []; // by a header
  before = false; // a release that knows nothing of what a page says of itself
  unseen = new Set(); // the ids of notifications

  constructor(log) {
    this.log = log;
  }

  async fetch(url, { method = "GET", body, credentials, headers, signal } = {}) {
    const path = url.slice(URL_.length);
    this.log.add(`${method} ${path}`);
    await null;
    const refusal = this.refusal[method];
    if (refusal === "unreachable") throw new TypeError("failed");
    if (refusal === "never") return new Promise((_, reject) => signal?.addEventListener("abort", reject));
    if (refusal) return Response.json({ code: refusal.code }, { status: refusal.status });
    if (path === "/devices/networks") {
      const webpush = this.key && { webpush: { application_server_key: this.key } };
      return Response.json({ networks: { mqtt: {}, ...webpush } });
    }
    if (headers?.authorization) this.logins.push(headers.authorization);
    if ((credentials === "include") === Boolean(headers?.authorization)) return Response.json({ code: "unauthorized" }, { status: 401 });
    if (method === "DELETE") {
      const there = this.devices.delete(path.slice("/devices/".length));
      return there ? new Response(null, { status: 204 }) : Response.json({ code: "not_found" }, { status: 404 });
    }
    const { application_server_key: said, shown, ...device } = JSON.parse(body);
    if (this.before && (said || shown || "silent" in device)) return Response.json({ code: "invalid" }, { status: 422 });
    this.bodies.push(JSON.parse(body));
    const { endpoint } = device.subscription;
    const device_id = `${this.user}device-${endpoint.split("/").at(-1)}`;
    this.devices.set(device_id, endpoint);
    const key = said && said !== this.key.replace(/=+$/, "") ? { application_server_key: this.key } : {};
    const dismissed = shown?.filter((id) => !this.unseen.has(id));
    return Response.json({ device_id, ...key, ...(dismissed?.length && { dismissed }) }, { status: 201 });
  }
}

/** One browser: its tabs share registrations, locks and channels. */
export class PushWorld {
  clock = new Clock();
  log = new Log();
  subscriptions = 0; // that were ever made
  pns = new FakePNS(this.log);
  permission = "default";
  answer = "granted"; // to the question for the permission
  registrations = new Map();
  broken = null; // what getRegistration does instead
  installed = "activated"; // what becomes of a new worker
  channels = [];
  changes = new EventTarget(); // of the permission
  #held = Promise.resolve();

  /** What every tab has. */
  environment() {
    const world = this;
    return {
      fetch: (url, options) => world.pns.fetch(url, options),
      serviceWorker: world.#container(),
      Notification: {
        get permission() {
          return world.permission;
        },
        async requestPermission() {
          world.log.add("ask");
          if (world.permission === "default") world.permission = await world.answer;
          return world.permission;
        },
      },
      PushManager,
      BroadcastChannel: world.#channel(),
      locks: { request: (name, task) => world.#request(task) },
      permissions: { query: async () => world.changes },
      origin: "https://host.test",
      silent: true,
      navigate: (url) => world.log.add(`go ${url}`),
      setTimeout: (callback, milliseconds) => world.clock.set(callback, milliseconds),
      clearTimeout: (timer) => world.clock.clear(timer),
    };
  }

  tab(options = {}, environment = {}) {
    const push = new WebPush(URL_, { ...options, environment: { ...this.environment(), ...environment } });
    push.states = [];
    push.addEventListener("state", ({ detail }) => push.states.push(detail));
    return push;
  }

  /** A tab that is on, everything before it forgotten. */
  async on(options = {}) {
    const push = this.tab(options);
    await push.start();
    await push.enable();
    this.log.take();
    push.states.length = 0;
    return push;
  }

  /** Our only registration. */
  get registration() {
    const [found, ...others] = [...this.registrations.values()].filter(({ scope }) => scope.endsWith(".js/"));
    if (others.length) throw new Error("more than one");
    return found;
  }

  #container() {
    const container = (this.container = new EventTarget());
    container.register = async (script, { scope }) => {
      const known = this.registrations.get(scope);
      if (known?.script !== script) this.log.add(`register ${script}`);
      const registration = known ?? new Registration(scope, this);
      registration.script = script;
      registration.unregister = async () => {
        this.log.add("unregister");
        return this.registrations.delete(scope);
      };
      this.registrations.set(scope, registration);
      this.#activate(registration);
      return registration;
    };
    // As in browsers: the longest scope that the address begins with.
    container.getRegistration = async (address) => {
      if (this.broken) return this.broken();
      const scopes = [...this.registrations.keys()].filter((scope) => address.startsWith(scope));
      return this.registrations.get(scopes.sort((a, b) => b.length - a.length)[0]);
    };
    return container;
  }

  #activate(registration) {
    if (registration.active) return;
    const worker = Object.assign(new EventTarget(), { state: "installing" });
    registration.installing = worker;
    setImmediate(() => {
      worker.state = this.installed;
      if (worker.state === "activated") registration.active = worker;
      worker.dispatchEvent(new Event("statechange"));
    });
  }

  #request(task) {
    const done = this.#held.then(task);
    this.#held = done.catch(() => {});
    return done;
  }

  #channel() {
    const { channels } = this;
    return class {
      constructor() {
        channels.push(this);
      }

      postMessage(data) {
        for (const other of channels) if (other !== this) setImmediate(() => other.onmessage?.({ data }));
      }

      close() {
        channels.splice(channels.indexOf(this), 1);
      }
    };
  }
}

/** push-worker.js in a scope of its own, as a browser runs it. `windows` are the open ones, the last used first. */
export class WorkerWorld {
  log = new Log();
  subscriptions = 0; // that were ever made
  pns = new FakePNS(this.log);
  registration = Object.assign(new Registration("", this), { active: {} });
  windows = [];
  badges = [];
  #listeners = {};

  constructor(address = `${URL_}/push-worker.js`) {
    const self = {
      location: { href: address },
      addEventListener: (type, listener) => (this.#listeners[type] = listener),
      registration: this.registration,
      navigator: { setAppBadge: async (count) => this.badges.push(count) },
      clients: {
        matchAll: async ({ type, includeUncontrolled }) => (type === "window" && includeUncontrolled ? this.windows : []),
        openWindow: async (url) => this.log.add(`open ${url}`),
      },
    };
    const fetch = (url, options) => this.pns.fetch(url, options);
    const scope = { self, fetch, btoa, URL, MessageChannel: FakeMessageChannel, setTimeout: (done) => setImmediate(done) };
    vm.runInNewContext(SOURCE, scope);
    this.self = self;
  }

  /** What the worker was given a while for has happened; rejects where it threw. */
  async #dispatch(type, event) {
    let until;
    this.#listeners[type]({ ...event, waitUntil: (promise) => (until = promise) });
    await until;
  }

  /** A push with this text, or with none. */
  push(text) {
    const data = text === undefined ? null : { json: () => JSON.parse(text) };
    return this.#dispatch("push", { data });
  }

  /** A push that the browser would show by itself: it hands over the notification, and no text. */
  propose({ notification: { title, navigate, app_badge, ...options } }) {
    return this.#dispatch("push", { data: null, notification: { title, navigate, ...options } });
  }

  send(message) {
    return this.push(JSON.stringify(message));
  }

  click(notification) {
    return this.#dispatch("notificationclick", { notification });
  }

  change(event = {}) {
    return this.#dispatch("pushsubscriptionchange", event);
  }

  /** An open window. `bell`: it answers a click, and follows it when it is told to. */
  window(url, { bell = false, frameType = "top-level", locked = false } = {}) {
    const { log } = this;
    const made = {
      url,
      frameType,
      focus: async () => {
        if (locked) throw new DOMException("no click", "InvalidAccessError");
        log.add(`focus ${url}`);
      },
      postMessage: ({ pns, click }, [port]) => {
        log.add(`ask ${url}`);
        if (!bell || pns !== URL_) return;
        port.onmessage = () => log.add(`follow ${click.url || "nothing"} in ${url}`);
        port.postMessage("here");
        made.click = click;
      },
    };
    this.windows.push(made);
    return made;
  }

  get shown() {
    return this.registration.shown;
  }
}

/** Delivers at once, so that a test need not wait; Node's own keeps the process alive. */
class FakeMessageChannel {
  constructor() {
    const [port1, port2] = [{}, {}];
    port1.postMessage = (data) => port2.onmessage?.({ data });
    port2.postMessage = (data) => port1.onmessage?.({ data });
    Object.assign(this, { port1, port2 });
  }
}
