// A browser and a PNS that stand still: time, chance, sockets, locks and channels are the test's.

import { PNSClient, serve } from "../../pns/browser/client.js";

export const URL_ = "https://host.test/pns";

/** Lets everything happen that is due without any time passing. */
export async function settle() {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export class Clock {
  now = 1_000_000;
  timers = new Map();
  #next = 1;

  set(callback, milliseconds) {
    this.timers.set(this.#next, { at: this.now + milliseconds, callback });
    return this.#next++;
  }

  clear(timer) {
    this.timers.delete(timer);
  }

  async advance(milliseconds) {
    const until = this.now + milliseconds;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= until).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.now = due[1].at;
      due[1].callback();
      await settle();
    }
    this.now = until;
    await settle();
  }
}

/** What PNS would do, of one user: an inbox, and every connection that was opened. */
export class FakePNS {
  unseen = [];
  seen = [];
  posts = [];
  lines = [];
  refusal = null; // what POST answers instead
  blocked = new Set(); // of "websocket", "events": closed before a word
  silent = false; // requests on a WebSocket are not answered
  heartbeat = 40;
  userId = "alice";

  constructor(clock) {
    this.clock = clock;
  }

  get open() {
    return this.lines.filter((line) => line.isOpen);
  }

  notify(...ids) {
    this.unseen.push(...ids);
    this.tell();
  }

  tell() {
    for (const line of this.open) line.say({ newNotificationCountChanged: this.unseen.length });
  }

  connect(line) {
    this.lines.push(line);
    setImmediate(() => {
      if (line.over) return;
      if (this.blocked.has(line.via)) return line.end(1006);
      line.isOpen = true;
      line.say({ newNotificationCountChanged: this.unseen.length });
    });
  }

  answer(message) {
    const [[name, body]] = Object.entries(message);
    const item = (id) => ({ notification_id: id, notification_data: id, create_date: "2026-01-01T00:00:00Z" });
    if (name === "unseenNotificationDataRequest") {
      const page = this.unseen.slice(0, body.limit ?? 500);
      if (!body.ack) this.mark(page.at(-1));
      return { newNotificationData: page.map(item) };
    }
    if (name === "seenNotificationsRequest") {
      if (body.after === "gone") return { error: { code: "unknown_notification", message: "gone" } };
      const found =
        body.before === undefined
          ? this.seen.slice(this.seen.indexOf(body.after) + 1)
          : this.seen.slice(0, body.before ? this.seen.indexOf(body.before) : undefined).reverse();
      return { seenNotificationData: found.slice(0, body.limit ?? 500).map(item) };
    }
    this.mark(body.upTo);
    return { newNotificationCountChanged: this.unseen.length };
  }

  mark(upTo) {
    this.seen.push(...this.unseen.splice(0, this.unseen.indexOf(upTo) + 1));
    setImmediate(() => this.tell());
  }

  async fetch(url, options) {
    const path = url.slice(URL_.length);
    this.posts.push({ path, ...options });
    await null;
    const refusal = typeof this.refusal === "function" ? this.refusal(path) : this.refusal;
    if (refusal === "unreachable") throw new TypeError("failed");
    if (refusal === "never") {
      return new Promise((_, reject) => options.signal.addEventListener("abort", () => reject(new Error())));
    }
    if (refusal) {
      const { status, code, after } = refusal;
      const headers = after ? { "retry-after": String(after) } : {};
      return new Response(JSON.stringify({ code, detail: "no" }), { status, headers });
    }
    const { userId: user_id, heartbeat: heartbeat_seconds } = this;
    if (path === "/subscribe") return Response.json({ user_id, device_id: "d", heartbeat_seconds });
    return Response.json(this.answer(JSON.parse(options.body)));
  }
}

function makeWebSocket(pns) {
  return class FakeWebSocket {
    via = "websocket";

    constructor(url, protocols) {
      Object.assign(this, { url, protocols, sent: [] });
      pns.connect(this);
    }

    say(message) {
      if (this.isOpen) this.onmessage?.({ data: JSON.stringify(message) });
    }

    send(text) {
      this.sent.push(text);
      if (!pns.silent) setImmediate(() => this.say(pns.answer(JSON.parse(text))));
    }

    end(code) {
      if (this.over) return;
      this.over = true;
      this.isOpen = false;
      this.onclose?.({ code });
    }

    close() {
      this.over = true;
      this.isOpen = false;
    }
  };
}

function makeEventSource(pns) {
  return class FakeEventSource extends EventTarget {
    via = "events";

    constructor(url, init) {
      super();
      Object.assign(this, { url, init });
      pns.connect(this);
    }

    say(message) {
      if (this.isOpen) this.onmessage?.({ data: JSON.stringify(message) });
    }

    end(code) {
      if (this.over) return;
      if (code !== 1006) {
        const event = new Event("close");
        event.data = JSON.stringify({ code, reason: "" });
        this.dispatchEvent(event);
      }
      this.onerror?.();
      this.close();
    }

    close() {
      this.over = true;
      this.isOpen = false;
    }
  };
}

/** One browser: its tabs share locks, channels and workers. */
export class World {
  clock = new Clock();
  pns = new FakePNS(this.clock);
  chance = 0.5;
  tabs = 0;
  channels = [];
  holders = new Map();
  workers = new Map();

  /** What every tab has; `shared`: also SharedWorker; `locks`: also Web Locks. */
  environment({ worker = false, locks = false } = {}) {
    const { clock, pns } = this;
    return {
      fetch: (url, options) => pns.fetch(url, options),
      WebSocket: makeWebSocket(pns),
      EventSource: makeEventSource(pns),
      SharedWorker: worker ? this.#sharedWorker() : undefined,
      BroadcastChannel: this.#broadcastChannel(),
      locks: locks ? { request: (...given) => this.#request(...given) } : undefined,
      window: new EventTarget(),
      document: Object.assign(new EventTarget(), { visibilityState: "visible" }),
      setTimeout: (callback, milliseconds) => clock.set(callback, milliseconds),
      clearTimeout: (timer) => clock.clear(timer),
      now: () => clock.now,
      random: () => this.chance,
    };
  }

  /** A tab with a client that is connected, unless `given` says otherwise. */
  async tab(given = {}, options = {}) {
    const environment = { ...this.environment(given), ...given.environment };
    // What it draws first is its name among the tabs.
    const draws = [++this.tabs / 1000];
    environment.random = () => draws.pop() ?? this.chance;
    const client = new PNSClient(URL_, { environment, ...options });
    const tab = { client, environment, log: [], arrived: [] };
    client.addEventListener("count", ({ detail }) => tab.log.push(detail));
    client.addEventListener("state", ({ detail }) => tab.log.push(detail));
    client.addEventListener("notifications", ({ detail }) => {
      tab.arrived.push(...detail.items.map((item) => item.notification_id));
    });
    await settle();
    return tab;
  }

  #broadcastChannel() {
    const { channels } = this;
    return class FakeChannel {
      constructor(name) {
        this.name = name;
        channels.push(this);
      }

      postMessage(message) {
        const data = structuredClone(message);
        for (const other of channels) {
          if (other !== this && other.name === this.name) setImmediate(() => other.onmessage?.({ data }));
        }
      }

      close() {
        channels.splice(channels.indexOf(this), 1);
      }
    };
  }

  async #request(name, { signal }, hold) {
    await null;
    while (this.holders.has(name)) {
      await Promise.race([
        this.holders.get(name),
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      ]);
    }
    signal.throwIfAborted();
    const held = hold().finally(() => this.holders.delete(name));
    this.holders.set(name, held);
    return held;
  }

  #sharedWorker() {
    const world = this;
    return class FakeSharedWorker {
      constructor(url, options) {
        Object.assign(this, { url, options });
        if (world.workers.get(url) === "broken") {
          setImmediate(() => this.onerror?.(new Event("error")));
        } else if (!world.workers.has(url)) {
          const scope = { location: { href: url } };
          serve(scope, { ...world.environment(), window: undefined, document: undefined });
          world.workers.set(url, scope);
        }
        const [inner, outer] = [{}, {}];
        const wire = (from, to) => {
          from.postMessage = (message) => {
            const data = structuredClone(message);
            setImmediate(() => to.onmessage?.({ data }));
          };
        };
        wire(inner, outer);
        wire(outer, inner);
        this.port = outer;
        world.workers.get(url).onconnect?.({ ports: [inner] });
      }
    };
  }
}
