// A browser and a PNS that stand still: time, chance, cookies, sockets, locks and channels are the test's.

// The client under test: its parts, or the file in which PNS has joined them, which PNS_CLIENT names.
const CLIENT = process.env.PNS_CLIENT ?? "../../pns/browser/client.js";
export const { PNSClient, PNSError, serve, version } = await import(CLIENT);
export const { Snooze, snoozeTimes } = await import(CLIENT.replace(/client\.js$/, "snooze.js"));
export const { Preferences } = await import(CLIENT.replace(/client\.js$/, "preferences.js"));

export const URL_ = "https://host.test/pns";

/** The next turn. */
export const next = () => new Promise((resolve) => setImmediate(resolve));

/** Lets everything happen that is due without any time passing. */
export async function settle() {
  for (let turn = 0; turn < 12; turn++) await next();
}

let due = 0; // what comes in a later turn

function soon(callback) {
  due++;
  setImmediate(() => {
    due--;
    callback();
  });
}

/** Turn after turn, until nothing is due in any world; `look` is called in each turn. */
export async function quiet(look = () => {}) {
  do {
    await next();
    look();
  } while (due);
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

/** What PNS would do: everybody's inbox, and every connection that was opened. */
export class FakePNS {
  userId = "alice"; // of the browser's cookie; "" for nobody, a function is asked each time
  inboxes = new Map();
  posts = [];
  lines = [];
  refusal = null; // what POST answers instead
  blocked = new Set(); // of "websocket", "events": closed before a word
  silent = false; // requests on a WebSocket are not answered
  countless = false; // a release before: it knows no counts
  version = 0; // of the numbers
  heartbeat = 40;
  renewal = 300; // seconds for which a ticket's connection may be open; null: for ever
  tickets = new Map(); // of those not used yet
  left = []; // device tokens that came with another user's login
  made = 0;

  constructor(clock) {
    this.clock = clock;
  }

  get open() {
    return this.lines.filter((line) => line.isOpen);
  }

  /** Whom the browser's cookie names just now. */
  get who() {
    return typeof this.userId === "function" ? this.userId() : this.userId;
  }

  inboxOf(user) {
    if (!this.inboxes.has(user)) this.inboxes.set(user, { unseen: [], seen: [], read: new Set() });
    return this.inboxes.get(user);
  }

  get unseen() {
    return this.inboxOf(this.userId).unseen;
  }

  set unseen(ids) {
    this.inboxOf(this.userId).unseen = ids;
  }

  get seen() {
    return this.inboxOf(this.userId).seen;
  }

  set seen(ids) {
    this.inboxOf(this.userId).seen = ids;
  }

  notify(...ids) {
    this.unseen.push(...ids);
    this.tell();
  }

  tell() {
    this.version++;
    for (const line of this.open) {
      line.say({ newNotificationCountChanged: this.inboxOf(line.user).unseen.length });
      if (line.counting) line.say({ notificationCounts: this.countsOf(line.user, line.counting) });
    }
  }

  /** A notification's category stands before the slash in its id. */
  countsOf(user, { categories: names }) {
    const { unseen, seen, read } = this.inboxOf(user);
    const unread = [...unseen, ...seen.filter((id) => !read.has(id))];
    const of = (name) => {
      const within = (ids) => ids.filter((id) => id.startsWith(`${name}/`)).length;
      return { unseen: within(unseen), unread: within(unread) };
    };
    const all = [...new Set(unread.filter((id) => id.includes("/")).map((id) => id.split("/")[0]))].sort();
    const told = names ?? all.slice(0, 64);
    return {
      unseen: unseen.length,
      unread: unread.length,
      categories: Object.fromEntries(told.map((name) => [name, of(name)])),
      version: this.version,
      ...(!names && all.length > 64 && { more: true }),
    };
  }

  /** As POST, each connection is whose the browser's cookie is when it is opened, or its ticket. */
  connect(line) {
    this.lines.push(line);
    soon(() => {
      if (line.over) return;
      line.user = line.ticket ? this.use(line.ticket) : this.who;
      if (this.blocked.has(line.via) || !line.user) return line.end(1006);
      line.isOpen = true;
      line.say({ newNotificationCountChanged: this.inboxOf(line.user).unseen.length });
      if (line.counting) line.say({ notificationCounts: this.countsOf(line.user, line.counting) });
    });
  }

  /** The user of a ticket, once. */
  use(ticket) {
    const user = this.tickets.get(ticket);
    this.tickets.delete(ticket);
    return user;
  }

  ticketOf(user, { device_token }) {
    if (device_token && !device_token.startsWith(`${user} `)) this.left.push(device_token);
    const ticket = `ticket-${++this.made}`;
    this.tickets.set(ticket, user);
    return {
      ticket,
      ticket_seconds: 30,
      device_token: device_token?.startsWith(`${user} `) ? device_token : `${user} ${this.made}`,
      renew_seconds: this.renewal,
    };
  }

  answer(message, user = this.who, line) {
    const [[name, body]] = Object.entries(message);
    const { unseen, seen } = this.inboxOf(user);
    const item = (id) => ({ notification_id: id, notification_data: id, create_date: "2026-01-01T00:00:00Z" });
    if (name === "unseenNotificationDataRequest") {
      const page = unseen.slice(0, body.limit ?? 500);
      if (!body.ack) this.mark(page.at(-1), user);
      return { newNotificationData: page.map(item) };
    }
    if (name === "countsRequest") {
      if (this.countless) return { error: { code: "bad_request", message: "no" } };
      if (line) line.counting = body;
      return { notificationCounts: this.countsOf(user, body) };
    }
    if (name === "renewTicket") {
      if (this.use(body) === user) return { ticketRenewed: { seconds: this.renewal } };
      return { error: { code: "bad_request", message: "no" } };
    }
    if (name === "seenNotificationsRequest") {
      if (body.after === "gone") return { error: { code: "unknown_notification", message: "gone" } };
      const found =
        body.before === undefined
          ? seen.slice(seen.indexOf(body.after) + 1)
          : seen.slice(0, body.before ? seen.indexOf(body.before) : undefined).reverse();
      return { seenNotificationData: found.slice(0, body.limit ?? 500).map(item) };
    }
    if (name === "markNotifications") {
      if (body.as === "read") for (const id of body.ids) this.inboxOf(user).read.add(id);
      const changed = body.ids.filter((id) => unseen.includes(id));
      for (const id of changed) unseen.splice(unseen.indexOf(id), 1);
      seen.push(...changed);
      soon(() => this.tell());
      return { notificationsMarked: { as: body.as, changed: changed.length } };
    }
    this.mark(body.upTo, user);
    return { newNotificationCountChanged: unseen.length };
  }

  mark(upTo, user) {
    const { unseen, seen } = this.inboxOf(user);
    seen.push(...unseen.splice(0, unseen.indexOf(upTo) + 1));
    soon(() => this.tell());
  }

  async fetch(url, options) {
    const path = url.slice(URL_.length);
    this.posts.push({ path, ...options, at: this.clock.now });
    await null;
    const refusal = typeof this.refusal === "function" ? this.refusal(path) : this.refusal;
    if (refusal === "unreachable") throw new TypeError("failed");
    if (refusal === "never") {
      return new Promise((_, reject) => options.signal.addEventListener("abort", () => reject(new Error())));
    }
    if (refusal) {
      const { status, code, after } = refusal;
      return answerOf(status, { code, detail: "no" }, after ? { "retry-after": String(after) } : {});
    }
    const user = options.credentials === "omit" ? options.headers.authorization : this.who;
    if (!user) return answerOf(401, { code: "unauthorized", detail: "no" });
    if (path === "/subscribe") {
      const wish = options.body && JSON.parse(options.body);
      const ticket = wish?.ticket && this.ticketOf(user, wish);
      return answerOf(200, { user_id: user, device_id: "d", heartbeat_seconds: this.heartbeat, ...ticket });
    }
    return answerOf(200, this.answer(JSON.parse(options.body), user));
  }
}

/** What the client reads of a Response, which itself is too slow for many thousands of worlds. */
function answerOf(status, body, headers = {}) {
  const text = JSON.stringify(body);
  return { status, headers: new Map(Object.entries(headers)), text: async () => text };
}

function makeWebSocket(pns, gate) {
  return class FakeWebSocket {
    via = "websocket";

    constructor(url, protocols) {
      const ticket = protocols.find((name) => name.startsWith("pns.ticket."))?.slice("pns.ticket.".length);
      Object.assign(this, { url, protocols, ticket, sent: [] });
      pns.connect(this);
    }

    say(message) {
      if (this.isOpen) gate(() => this.onmessage?.({ data: JSON.stringify(message) }));
    }

    get readyState() {
      return this.isOpen && !this.closing ? 1 : 3;
    }

    send(text) {
      if (this.readyState !== 1) throw new Error("a browser drops what is sent now, and complains");
      this.sent.push(text);
      if (!pns.silent) soon(() => this.say(pns.answer(JSON.parse(text), this.user, this)));
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

function makeEventSource(pns, gate) {
  return class FakeEventSource extends EventTarget {
    via = "events";

    constructor(url, init) {
      super();
      const asked = new URL(url).searchParams;
      const counting = asked.get("counts") === "true" && !pns.countless ? {} : undefined;
      Object.assign(this, { url, init, ticket: asked.get("ticket"), counting });
      pns.connect(this);
    }

    say(message) {
      if (this.isOpen) gate(() => this.onmessage?.({ data: JSON.stringify(message) }));
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

const WAY_OF = { websocket: "WebSocket", events: "EventSource" };

/** One browser: its tabs share cookies, locks, channels and workers. */
export class World {
  clock = new Clock();
  pns = new FakePNS(this.clock);
  chance = 0.5;
  tabs = 0;
  channels = [];
  holders = new Map();
  workers = new Map();
  warnings = [];

  /**
   * What every tab has; `worker`: also SharedWorker; `locks`: also Web Locks. Between `pause()` and `resume()` it is
   * frozen, or busy: nothing runs in it, and all that comes waits. After `freeze()` it still hears other tabs, as in
   * Chromium.
   */
  environment({ worker = false, locks = false } = {}) {
    const { clock, pns } = this;
    let held = null;
    let frozen = false;
    const gate = (callback) => (held && !frozen ? held.push(callback) : callback());
    const still = (callback) => (held ? held.push(callback) : callback());
    const kept = new Map(); // a tab's own
    const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, text) => kept.set(name, text) };
    return {
      fetch: (url, options) => pns.fetch(url, options),
      pause: () => (held ??= []),
      freeze() {
        held ??= [];
        frozen = true;
      },
      resume() {
        const all = held;
        held = null;
        frozen = false;
        for (const callback of all) callback();
      },
      gate,
      WebSocket: makeWebSocket(pns, still),
      EventSource: makeEventSource(pns, still),
      SharedWorker: worker ? this.#sharedWorker(gate) : undefined,
      BroadcastChannel: this.#broadcastChannel(gate),
      locks: locks ? { request: (...given) => this.#request(gate, ...given) } : undefined,
      window: new EventTarget(),
      location: new URL("https://host.test/page"),
      storage: () => storage,
      warn: (text) => this.warnings.push(text),
      document: Object.assign(new EventTarget(), { visibilityState: "visible" }),
      // What is due at once is no deadline that a test may look for.
      setTimeout: (callback, milliseconds) => milliseconds === undefined ?
        queueMicrotask(() => still(callback)) : clock.set(() => still(callback), milliseconds),
      clearTimeout: (timer) => clock.clear(timer),
      now: () => clock.now,
      random: () => this.chance,
    };
  }

  /** A tab with a client that is connected, unless `given` says otherwise; `named`: by its last question. */
  async tab(given = {}, options = {}, watch = () => {}) {
    const environment = { ...this.environment(given), ...given.environment };
    // What it draws first is its name among the tabs.
    const draws = [++this.tabs / 1000];
    environment.random = () => draws.pop() ?? this.chance;
    const tab = { environment, log: [], arrived: [], named: null };
    const { fetch } = environment;
    environment.fetch = async (url, request) => {
      const answer = await fetch(url, request);
      if (url !== `${URL_}/subscribe`) return answer;
      const { user_id } = /"user_id":"(?<user_id>.*?)"/.exec(await answer.text())?.groups ?? {};
      if (user_id) tab.named = user_id;
      if ([401, 403].includes(answer.status)) tab.named = "";
      return answer;
    };
    const client = (tab.client = new PNSClient(given.url ?? URL_, { environment, ...options }));
    client.addEventListener("count", ({ detail }) => tab.log.push(detail));
    client.addEventListener("state", ({ detail }) => tab.log.push(detail));
    client.addEventListener("notifications", ({ detail }) => {
      tab.arrived.push(...detail.items.map((item) => item.notification_id));
    });
    watch(tab);
    await quiet();
    return tab;
  }

  /** The browser ends a worker: its connections break, and nothing runs in it any more. */
  kill(url) {
    const { environment } = this.workers.get(url);
    this.workers.delete(url);
    environment.pause();
    for (const line of this.pns.open) if (line instanceof environment[WAY_OF[line.via]]) line.close();
  }

  #broadcastChannel(gate) {
    const { channels } = this;
    return class FakeChannel {
      constructor(name) {
        this.name = name;
        this.gate = gate;
        channels.push(this);
      }

      postMessage(message) {
        const data = structuredClone(message);
        for (const other of channels) {
          if (other !== this && other.name === this.name) soon(() => other.gate(() => other.onmessage?.({ data })));
        }
      }

      close() {
        channels.splice(channels.indexOf(this), 1);
      }
    };
  }

  async #request(gate, name, { signal, steal }, hold) {
    await null;
    while (!steal && this.holders.has(name)) {
      await Promise.race([
        this.holders.get(name).over,
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
      ]);
    }
    signal?.throwIfAborted();
    this.holders.get(name)?.rob();
    const holder = {};
    const free = () => this.holders.get(name) === holder && this.holders.delete(name);
    const robbed = new Promise((resolve) => (holder.rob = resolve));
    const held = hold().finally(free);
    holder.over = Promise.race([held, robbed]);
    this.holders.set(name, holder);
    const told = robbed.then(() => new Promise((resolve) => gate(resolve)));
    return Promise.race([held, told.then(() => Promise.reject(new DOMException("stolen", "AbortError")))]);
  }

  #sharedWorker(gate) {
    const world = this;
    return class FakeSharedWorker {
      constructor(url, options) {
        Object.assign(this, { url, options });
        if (world.workers.get(url) === "broken") {
          this.port = { postMessage() {} };
          soon(() => this.onerror?.(new Event("error")));
          return;
        }
        if (!world.workers.has(url)) {
          const scope = { location: { href: url }, environment: world.environment() };
          serve(scope, { ...scope.environment, window: undefined, document: undefined });
          world.workers.set(url, scope);
        }
        const scope = world.workers.get(url);
        const [inner, outer] = [{}, {}];
        const wire = (from, to, within) => {
          from.postMessage = (message) => {
            const data = structuredClone(message);
            soon(() => within(() => to.onmessage?.({ data })));
          };
        };
        wire(inner, outer, gate);
        wire(outer, inner, scope.environment.gate);
        this.port = outer;
        scope.onconnect?.({ ports: [inner] });
      }
    };
  }
}
