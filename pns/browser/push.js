// Web Push for this browser, headless: asks for the permission, subscribes, and tells PNS where to push to.
//
// Its service worker, push-worker.js, is registered for a scope in which there is no page, so that it controls
// none and stands in no other worker's way. That it is registered is the user's wish, and all that is kept: a
// subscription that was lost is made anew as long as it stands. push.d.ts says what a page may rely on.

import { PNSError, trusted } from "./client.js";

const REQUEST_MS = 10_000; // an answer of PNS that takes longer is given up
const MOST_SHOWN = 100; // PNS reads no more
const BROWSER_MS = 30_000; // so is a browser whose push service says nothing

function surroundings(given) {
  const scope = globalThis;
  return {
    fetch: (...call) => scope.fetch(...call),
    serviceWorker: container(scope.navigator),
    Notification: scope.Notification,
    PushManager: scope.PushManager,
    BroadcastChannel: scope.BroadcastChannel,
    locks: scope.navigator?.locks,
    permissions: scope.navigator?.permissions,
    origin: scope.location?.origin,
    // Chromium alone has this, and alone bears pushes that show nothing.
    silent: "userAgentData" in (scope.navigator ?? {}),
    navigate: (url) => scope.location.assign(url),
    setTimeout: (callback, milliseconds) => scope.setTimeout(callback, milliseconds),
    clearTimeout: (timer) => scope.clearTimeout(timer),
    ...given,
  };
}

function container(navigator) {
  try {
    return navigator?.serviceWorker;
  } catch {
    return undefined; // a sandboxed frame
  }
}

export class WebPush extends EventTarget {
  #env;
  #headers; // of the page's login, in place of cookies
  #script; // the worker's address
  #scope;
  #possible;
  #key = ""; // the application server's; "" where PNS has none
  #device = ""; // what PNS calls this browser, once it has said so
  #started = false;
  #login = new AbortController(); // ended by a pause, with all that is under way
  #busy = false;
  #state = "unknown";
  #problem = "";
  #events = null;
  #channel = null;

  constructor(url, { worker, title, headers, environment } = {}) {
    super();
    this.#headers = headers;
    const base = globalThis.document?.baseURI;
    this.url = new URL(url, base).href.replace(/\/+$/, "");
    this.#env = surroundings(environment);
    this.#script = new URL(worker || `${this.url}/push-worker.js`, base);
    this.#scope = `${this.#script.origin}${this.#script.pathname}/`;
    if (worker) this.#script.searchParams.set("pns", this.url);
    if (title) this.#script.searchParams.set("title", title);
    const needed = ["serviceWorker", "Notification", "PushManager", "BroadcastChannel", "locks"];
    this.#possible = needed.every((name) => this.#env[name]) && this.#script.origin === this.#env.origin;
  }

  get state() {
    return this.#busy ? "busy" : this.#state;
  }

  get problem() {
    return this.#problem;
  }

  async start() {
    if (!this.#possible) return this.#set("unsupported");
    this.#listen();
    const { signal } = this.#login;
    // It may be another user's turn: what PNS calls this browser is then another device.
    this.#device = "";
    const { status, body } = await this.#ask("GET", "/devices/networks");
    if (!signal.aborted && !isPassing(status)) {
      this.#key = keyIn(body);
      this.#started = true;
      if (this.#key) await this.#alone(() => this.#installAgain(signal)).catch(() => {});
    }
    return this.#look();
  }

  async enable() {
    if (this.#busy || !this.#started || !this.#key) return this.state;
    const { signal } = this.#login;
    // Before anything is awaited: browsers take the question only in the turn of a click.
    const answer = this.#env.Notification.requestPermission();
    return this.#change(async () => {
      if ((await answer) === "granted") await this.#alone(() => this.#turnOn(signal));
    });
  }

  async disable() {
    if (this.#busy || !this.#possible) return this.state;
    return this.#change(() => this.#alone(() => this.#turnOff()));
  }

  async check() {
    if (!this.#started) return this.state;
    const { status, body } = await this.#ask("GET", "/devices/networks");
    return isDone(status) && keyIn(body) !== this.#key ? this.start() : this.state;
  }

  async pause() {
    this.#started = false;
    this.#login.abort();
    this.#login = new AbortController();
    if (this.#possible) await this.#alone(() => this.#end()).catch(() => {});
    return this.#look();
  }

  async dismiss(ids) {
    const gone = ids && new Set(ids);
    for (const notification of await this.#shown()) {
      if (!gone || gone.has(notification.data?.id)) notification.close();
    }
  }

  stop() {
    this.#events?.abort();
    this.#channel?.close();
    this.#events = this.#channel = null;
  }

  // ── on and off ────────────────────────────────────────────────────────────────────────────────────────

  async #change(act) {
    this.#problem = "";
    this.#busy = true;
    this.#tell();
    try {
      await act();
    } catch (error) {
      this.#problem = error instanceof PNSError ? error.code : error.name;
    }
    this.#busy = false;
    this.#channel?.postMessage("changed");
    return this.#look(true);
  }

  async #turnOn(login) {
    try {
      const { status, body } = await this.#install(login);
      if (!isDone(status)) throw new PNSError(body.code ?? "unreachable");
    } catch (error) {
      await this.#turnOff().catch(() => {});
      throw error;
    }
  }

  async #turnOff() {
    await this.#end();
    await (await this.#registration())?.unregister();
  }

  /** Subscribe at the browser, then tell PNS: at its end first, the other way round. */
  async #install(login) {
    const { pushManager } = await this.#register();
    login.throwIfAborted();
    const answer = await this.#introduce(pushManager, login);
    const key = answer.body.application_server_key;
    if (!isDone(answer.status) || !key || key === this.#key) return answer;
    this.#key = key; // PNS has had another since the page was opened
    return this.#introduce(pushManager, login);
  }

  async #introduce(manager, login) {
    const subscription = await this.#subscribe(manager, login);
    login.throwIfAborted();
    return this.#tellOf(subscription);
  }

  /** What was wished for before: PNS may have forgotten it, or the browser, or there is another key by now. */
  async #installAgain(login) {
    if (this.#env.Notification.permission !== "granted" || !(await this.#registration())) return;
    const { status } = await this.#install(login);
    if (isDone(status) || isPassing(status)) return;
    // Nobody is logged in: as at a pause, the wish stays.
    await (status === 401 || status === 403 ? this.#end() : this.#turnOff());
  }

  async #end() {
    const registration = await this.#registration();
    const subscription = await registration?.pushManager.getSubscription();
    if (subscription) {
      await this.#uninstall(subscription);
      await subscription.unsubscribe();
    }
    await this.dismiss();
  }

  /** PNS need not be there: its next push to what is unsubscribed tells it as well. */
  async #uninstall(subscription) {
    if (!this.#device) await this.#tellOf(subscription);
    if (this.#device) await this.#ask("DELETE", `/devices/${encodeURIComponent(this.#device)}`);
    this.#device = "";
  }

  // ── the browser ───────────────────────────────────────────────────────────────────────────────────────

  /** One at a time, in all tabs: what one of them ends, another must not be about to begin. */
  #alone(task) {
    return this.#env.locks.request(`pns push ${this.#scope}`, task);
  }

  /** Our own; the browser would also answer with the one of a scope above. */
  async #registration() {
    const found = await this.#env.serviceWorker.getRegistration(this.#scope);
    return found?.scope === this.#scope ? found : undefined;
  }

  async #register() {
    const options = { scope: this.#scope, updateViaCache: "none" };
    const registration = await this.#env.serviceWorker.register(trusted(this.#script.href), options);
    await this.#soon(activated(registration));
    return registration;
  }

  async #subscribe(manager, login) {
    const found = await manager.getSubscription();
    if (found && base64url(found.options.applicationServerKey) === this.#key.replace(/=+$/, "")) return found;
    await found?.unsubscribe();
    const made = await this.#soon(manager.subscribe({ userVisibleOnly: true, applicationServerKey: this.#key }));
    if (login.aborted) await made.unsubscribe(); // PNS has not heard of it
    return made;
  }

  #soon(promise) {
    return new Promise((resolve, reject) => {
      const timer = this.#env.setTimeout(() => reject(new PNSError("timeout")), BROWSER_MS);
      promise.then(resolve, reject).finally(() => this.#env.clearTimeout(timer));
    });
  }

  async #shown() {
    if (!this.#possible) return [];
    try {
      return (await (await this.#registration())?.getNotifications()) ?? [];
    } catch {
      return [];
    }
  }

  // ── PNS ───────────────────────────────────────────────────────────────────────────────────────────────

  async #tellOf(subscription) {
    const device = { network: "webpush", subscription, platform: "web" };
    const key = base64url(subscription.options?.applicationServerKey);
    const shown = (await this.#shown()).map(({ data }) => data?.id).filter(Boolean).slice(0, MOST_SHOWN);
    const word = { application_server_key: key || undefined, declarative: true, silent: this.#env.silent, shown };
    let answer = await this.#ask("POST", "/devices", { ...device, ...word });
    // A PNS of before takes no word.
    if (answer.status === 422) answer = await this.#ask("POST", "/devices", device);
    if (isDone(answer.status)) this.#device = answer.body.device_id ?? "";
    await this.dismiss(answer.body.dismissed ?? []);
    return answer;
  }

  /** `status` is 0 when nothing came back; `body` is {} for what is no JSON. */
  async #ask(method, path, message) {
    const abort = new AbortController();
    const timer = this.#env.setTimeout(() => abort.abort(), REQUEST_MS);
    try {
      const given = this.#headers && { ...(await this.#soon((async () => this.#headers())())) };
      const options = { method, credentials: given ? "omit" : "include", signal: abort.signal, headers: given };
      if (message) {
        options.body = JSON.stringify(message);
        options.headers = { ...given, "content-type": "application/json" };
      }
      const response = await this.#env.fetch(this.url + path, options);
      return { status: response.status, body: (await response.json().catch(() => null)) ?? {} };
    } catch {
      return { status: 0, body: {} };
    } finally {
      this.#env.clearTimeout(timer);
    }
  }

  // ── what is known ─────────────────────────────────────────────────────────────────────────────────────

  #listen() {
    if (this.#events) return;
    const { BroadcastChannel, serviceWorker } = this.#env;
    const { signal } = (this.#events = new AbortController());
    serviceWorker.addEventListener("message", (event) => this.#hear(event), { signal });
    this.#channel = new BroadcastChannel(`pns push ${this.#scope}`);
    this.#channel.onmessage = () => {
      this.#device = "";
      this.#look();
    };
    this.#watch(signal).catch(() => {});
  }

  /** The user may change the permission at any time, in the browser's own settings. */
  async #watch(signal) {
    const status = await this.#env.permissions?.query({ name: "notifications" });
    status?.addEventListener("change", () => this.#look(), { signal }); // none where that has ended
  }

  /** A click on a notification: the worker asks all pages, and says to one of them that it is to follow it. */
  #hear({ data, ports: [port] }) {
    if (data?.pns !== this.url || !data.click || !port) return;
    port.onmessage = () => this.#follow(data.click);
    port.postMessage("here");
  }

  #follow(click) {
    const event = new CustomEvent("click", { detail: click, cancelable: true });
    if (this.dispatchEvent(event) && click.url) this.#env.navigate(click.url);
  }

  async #look(changed = false) {
    const state = await this.#found().catch(() => "unsupported");
    this.#set(state, changed);
    return this.state;
  }

  async #found() {
    if (!this.#possible) return "unsupported";
    if (!this.#started) return "unknown";
    if (!this.#key) return "unsupported";
    const { permission } = this.#env.Notification;
    if (permission === "denied") return "denied";
    const registration = permission === "granted" ? await this.#registration() : undefined;
    return (await registration?.pushManager.getSubscription()) ? "on" : "off";
  }

  #set(state, changed = false) {
    if (state === this.#state && !changed) return state;
    this.#state = state;
    if (!this.#busy) this.#tell();
    return state;
  }

  #tell() {
    this.dispatchEvent(new CustomEvent("state", { detail: this.state }));
  }
}

const keyIn = ({ networks }) => networks?.webpush?.application_server_key ?? "";
const isDone = (status) => status >= 200 && status < 300;
const isPassing = (status) => !status || status === 429 || status >= 500;

/** A worker can be subscribed for once it is active. */
function activated({ active, waiting, installing }) {
  const worker = installing ?? waiting;
  if (active || !worker) return Promise.resolve();
  return new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new PNSError("worker"));
    });
  });
}

function base64url(buffer) {
  const text = btoa(String.fromCharCode(...new Uint8Array(buffer ?? [])));
  return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
