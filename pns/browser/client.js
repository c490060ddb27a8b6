// The headless client: a user's inbox, live, over one connection for all tabs of the browser.
//
// A Line keeps the connection, alone in a tab, in the tab that leads, or in a SharedWorker. A PNSClient is a
// page's side of it. They talk in plain messages, so that it makes no difference where the Line lives.
// A page asks PNS by itself for whom its cookies speak, and shows nothing of a line that is another user's.
// Nothing here touches the DOM or shows anything; client.d.ts says what a page may rely on.

export const version = "0.2.0";

const SECOND = 1000;
const REQUEST_MS = 30 * SECOND; // an answer that takes longer is given up
const OPENING_MS = 10 * SECOND; // so is a connection that says nothing at first
const SOCKET_AGAIN_MS = 300 * SECOND; // how long an event stream is kept before WebSocket is tried again
const HELD_MS = 20 * SECOND; // a connection that held as long had no trouble: the next wait is short
const FIRST_BOUND_MS = SECOND / 2;
const LAST_BOUND_MS = 20 * SECOND;
const LONG_WAIT = 6; // doublings from the first bound to the last
const LOOK_MS = 10 * SECOND; // a page that is looked at again asks again, but not sooner than this
const CALM_MS = 60 * SECOND; // as long without a change of user, and the next one is followed at once
const KNOWN_IDS = 5000;
const OUR_FAULT = [1002, 1003, 1007, 1009];

const START = { count: 0, state: "connecting", retryAt: null, problem: "", userId: "", notBefore: 0 };

export class PNSError extends Error {
  constructor(code, message = code) {
    super(message);
    this.name = "PNSError";
    this.code = code;
  }
}

function surroundings(given) {
  const scope = globalThis;
  return {
    fetch: (...call) => scope.fetch(...call),
    WebSocket: scope.WebSocket,
    EventSource: scope.EventSource,
    SharedWorker: scope.SharedWorker,
    BroadcastChannel: scope.BroadcastChannel,
    locks: scope.navigator?.locks,
    window: scope.addEventListener && scope,
    document: scope.document,
    location: scope.location,
    storage: () => scope.sessionStorage,
    warn: (text) => scope.console.warn(text),
    setTimeout: (callback, milliseconds) => scope.setTimeout(callback, milliseconds),
    clearTimeout: (timer) => scope.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    ...given,
  };
}

const boundOf = (failures) => Math.min(LAST_BOUND_MS, FIRST_BOUND_MS * 2 ** failures);

// ── questions ───────────────────────────────────────────────────────────────────────────────────────────

/** POST to PNS, as the page or the worker that this runs in; with `headers` of the page's, instead of cookies. */
class Calls {
  #url;
  #env;
  #headers;
  #heard;
  #warned = new Set();
  #asked = 0;
  #answered = 0; // the newest question that was answered without a doubt
  #newest; // with this

  /** `heard` is told of each answer, before whoever asked is. */
  constructor(url, env, headers, heard) {
    this.#url = url;
    this.#env = env;
    this.#headers = headers;
    this.#heard = heard;
    this.tickets = !!headers;
  }

  /** `status` is 0 when nothing came back. */
  async post(path, body) {
    const abort = new AbortController();
    const timer = this.#env.setTimeout(() => abort.abort(), OPENING_MS);
    const message = path === "/messages";
    try {
      const headers = this.#headers && (await this.#given(abort.signal));
      const response = await this.#env.fetch(this.#url + path, {
        method: "POST",
        credentials: headers ? "omit" : "include",
        // A string goes as text/plain, which needs no preflight; what a page says as its last is still sent.
        headers: body && !message ? { ...headers, "content-type": "application/json" } : headers,
        body,
        keepalive: message,
        signal: abort.signal,
      });
      const after = Number(response.headers.get("retry-after")) * SECOND || 0;
      const text = await response.text();
      const said = parse(text) ?? {};
      if (said.detail) this.#warn(said.detail);
      return { status: response.status, body: said, text, after };
    } catch {
      return { status: 0, body: {}, after: 0 };
    } finally {
      this.#env.clearTimeout(timer);
    }
  }

  /** Whose this browser is: `user`, "" for nobody; without a `user` it is in doubt. Never older than what was heard. */
  async question(renew) {
    const number = ++this.#asked;
    const answer = await this.#put(renew);
    if (answer.user === undefined) return answer;
    if (number > this.#answered) {
      this.#answered = number;
      this.#newest = answer;
      this.#heard?.(answer);
    }
    return this.#newest;
  }

  async #put(renew) {
    const { tickets } = this;
    const wish = tickets ? JSON.stringify({ ticket: true, renew, device_token: this.#token() }) : undefined;
    const { status, body, after } = await this.post("/subscribe", wish);
    const { code, ticket } = body;
    if (status === 200 && body.heartbeat_seconds > 0 && (ticket || !tickets)) {
      this.#token(body.device_token);
      const silence = (1.5 * body.heartbeat_seconds + 5) * SECOND;
      return { user: body.user_id, silence, ticket, renewal: body.renew_seconds };
    }
    if (status === 401 || (status === 403 && code !== "origin_not_allowed")) {
      const { location } = this.#env;
      if (location && !tickets && siteOf(location) !== siteOf(new URL(this.#url))) {
        this.#warn(`${location.origin} and ${this.#url} are two sites: set "headers"`);
      }
      return { user: "", problem: code ?? "unauthorized" };
    }
    if (!status || status === 429 || status >= 500) return { state: "offline", problem: code ?? "unreachable", after };
    const how = tickets ? " with tickets" : "";
    if (!code) this.#warn(`POST ${this.#url}/subscribe answered ${status}, not as PNS${how}: set "url"`);
    return { state: "error", problem: code ?? "not_pns", after };
  }

  async #given(signal) {
    try {
      return { ...(await Promise.race([this.#headers(), new Promise((_, no) => (signal.onabort = no))])) };
    } catch (error) {
      this.#warn(`headers() failed: ${error}`);
      throw error;
    }
  }

  /** What names this device instead of a cookie; of this tab alone, so that two tabs may be two users. */
  #token(fresh) {
    try {
      const storage = this.#env.storage();
      const name = `pns ${this.#url}`;
      if (fresh) storage.setItem(name, fresh);
      return storage.getItem(name) ?? undefined;
    } catch {} // the browser keeps nothing here
  }

  #warn(text) {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    this.#env.warn(`PNS: ${text}`);
  }
}

/** About what browsers take for one site; they know all names under which anybody may have one. */
function siteOf({ protocol, hostname }) {
  return protocol + (/[^.]+\.((com?|net|org|ac|gov|edu)\.)?[^.]+$/.exec(hostname)?.[0] ?? hostname);
}

// ── the connection ──────────────────────────────────────────────────────────────────────────────────────

/** Keeps one connection for ever, and serves the pages' requests one at a time. */
class Line {
  #url;
  #env;
  #calls;
  #tell;
  #status; // its `userId` is the line's user
  #pages = new Set();
  #frames = false;
  #attempt = null; // the try under way; a result of another one is void
  #link = null; // the connection that was heard of
  #opening = null; // one that was not, yet
  #failures = 0;
  #asked = false; // a 45xx was followed up, and no connection has held since
  #retry = null;
  #silence = 0;
  #socketFailures = 0;
  #socketAgain = 0;
  #probe = null;
  #queue = [];
  #turn = null; // of the queue's first request, which is in flight: each sending is a turn of its own

  /** `tell` takes what all pages are to know; `status` is what they know already. */
  constructor({ url, env, calls, status = () => START }, tell) {
    this.#url = url;
    this.#env = env;
    this.#calls = calls;
    // Each message says whose it is: a page takes none that is another user's.
    this.#tell = (message) => tell({ ...message, user: this.#status.userId });
    this.#status = { ...status(), state: "connecting", retryAt: null };
  }

  /** A message of a page. */
  receive(message) {
    if (message.hello) {
      this.#join(message);
    } else if (message.bye) {
      this.#pages.delete(message.bye);
      if (!this.#pages.size) this.close();
    } else if (message.ask) {
      this.#take(message);
    } else if (message.nudge) {
      this.#nudge(message.nudge);
    }
  }

  close() {
    this.#drop();
    this.#queue = [];
    this.#status = { ...this.#status, state: "connecting", retryAt: null };
  }

  /** A page says for whom it is here; `answer` is what it has just been told, if it has asked. */
  #join({ hello, frames, user, problem, answer, urgent }) {
    this.#pages.add(hello);
    this.#frames ||= frames;
    const { userId, state, notBefore } = this.#status;
    const unknown = !userId && state !== "logged-out";
    // What a page was told long ago ends nobody's line: that page is told whose it is, and asks.
    if ((answer || unknown) && (user !== userId || !user)) this.#become(user, problem);
    else this.#tell({ status: this.#status });
    if (user !== this.#status.userId || !user) return;
    if (!this.#isIdle()) this.#nudge("hello");
    else if (!answer) this.#retry || this.#try();
    else if (urgent || this.#env.now() >= notBefore) this.#use(answer);
  }

  /** From now on it is this user's line, or nobody's. Pages of another user ask for themselves. */
  #become(userId, problem = "") {
    this.#drop();
    this.#queue = [];
    this.#set({ ...START, userId, state: userId ? "connecting" : "logged-out", problem });
  }

  #set(change) {
    this.#status = { ...this.#status, ...change };
    this.#tell({ status: this.#status });
  }

  #later(callback, milliseconds) {
    return this.#env.setTimeout(callback, milliseconds);
  }

  #isIdle() {
    return !this.#attempt && !this.#link && !this.#opening;
  }

  #drop() {
    this.#attempt = null;
    this.#env.clearTimeout(this.#retry);
    this.#env.clearTimeout(this.#probe);
    this.#retry = this.#turn = null;
    for (const link of [this.#link, this.#opening]) this.#end(link);
    this.#link = this.#opening = null;
  }

  #nudge(why) {
    const now = this.#env.now();
    if (why === "offline") {
      if (!this.#isIdle()) this.#wait("offline", why);
    } else if (this.#link) {
      if (now - this.#link.heard > this.#silence) this.#closed(this.#link, 1006, true);
    } else if (this.#isIdle() && this.#status.userId && now >= this.#status.notBefore) {
      this.#try();
    }
  }

  // ── trying, waiting ───────────────────────────────────────────────────────────────────────────────────

  async #try() {
    this.#drop();
    const attempt = (this.#attempt = {});
    this.#set({ state: "connecting", retryAt: null });
    const answer = await this.#calls.question();
    if (this.#attempt === attempt) this.#use(answer);
  }

  #use(answer) {
    const { user, state, problem, after } = answer;
    if (state === "error") this.#failures = LONG_WAIT;
    if (user === undefined) return this.#wait(state, problem, after);
    if (user !== this.#status.userId) this.#become(user, problem);
    if (!user) return;
    this.#drop();
    this.#silence = answer.silence;
    this.#set({ state: "connecting", retryAt: null });
    this.#open(answer);
  }

  #wait(state, problem, after = 0) {
    this.#drop();
    const delay = after + this.#env.random() * boundOf(this.#failures++);
    const now = this.#env.now();
    this.#retry = this.#later(() => this.#try(), delay);
    this.#set({ state, problem, retryAt: now + delay, notBefore: now + after });
  }

  // ── WebSocket, or events ──────────────────────────────────────────────────────────────────────────────

  #open(answer) {
    const { EventSource, now } = this.#env;
    const events = EventSource && this.#socketFailures > 1 && now() < this.#socketAgain;
    this.#opening = this.#start(events ? openEvents : openSocket, answer);
  }

  #start(open, { ticket, renewal }) {
    const via = open === openSocket ? "websocket" : "events";
    const link = { via, heard: 0, ticket, renewal, close() {}, send() {} };
    this.#watch(link, OPENING_MS);
    const on = {
      message: (text) => link.over || this.#hear(link, text),
      close: (code) => this.#closed(link, code),
    };
    try {
      Object.assign(link, open(this.#url, this.#env, on, ticket));
    } catch {
      // A turn later, as everything that closes by itself: nobody has this link yet.
      Promise.resolve().then(() => on.close(1006));
    }
    return link;
  }

  #watch(link, milliseconds) {
    this.#env.clearTimeout(link.timer);
    link.timer = this.#later(() => this.#closed(link, 1006), milliseconds);
  }

  #end(link) {
    if (!link || link.over) return;
    link.over = true;
    for (const timer of [link.timer, link.renewing]) this.#env.clearTimeout(timer);
    link.close();
  }

  #hear(link, text) {
    link.heard = this.#env.now();
    this.#watch(link, this.#silence);
    if (this.#link !== link) this.#adopt(link);
    this.#show("in", link.via, text);
    const message = parse(text);
    link.count = message?.newNotificationCountChanged ?? link.count;
    if (message && !("newNotificationCountChanged" in message)) this.#answer(message);
    this.#live(link);
  }

  #live(link) {
    if (!link.sure || link.over) return;
    if (link.count !== undefined) this.#set({ count: link.count, state: "live", retryAt: null, problem: "" });
    this.#pump();
  }

  /** Whether the cookies speak for this user still: they may have been another's when `link` was opened or asked. */
  async #prove(link) {
    const answer = await this.#calls.question();
    const { user, state, problem, after } = answer;
    if (link.over) return false;
    if (user === this.#status.userId || problem === "too_many_connections") return true;
    if (user !== undefined) this.#become(user, problem);
    // Not at once: users that change and change again must not become a storm.
    if (user !== "") this.#wait(state ?? "offline", problem ?? "", after || boundOf(this.#failures) / 2);
    return false;
  }

  /** The first word of a new connection: from now on it is the one. */
  #adopt(link) {
    this.#end(this.#link);
    if (this.#opening === link) this.#opening = null;
    this.#link = link;
    link.since = this.#env.now();
    this.#turn = null;
    this.#queue = this.#queue.filter(({ renewal }) => !renewal);
    if (link.via === "websocket") {
      this.#socketFailures = 0;
      this.#renewLater(link, link.renewal);
    } else this.#probeLater();
    // A ticket is its user's; cookies may be anybody's by now.
    (link.ticket ? Promise.resolve(true) : this.#prove(link)).then((sure) => {
      link.sure = sure;
      this.#live(link);
    });
  }

  #probeLater() {
    this.#env.clearTimeout(this.#probe);
    // Beside the events, which go on until the WebSocket has said its first word.
    this.#probe = this.#later(async () => {
      const link = this.#link;
      const answer = await this.#calls.question();
      if (this.#link !== link || this.#opening) return;
      if (answer.user === this.#status.userId) this.#opening = this.#start(openSocket, answer);
      else this.#probeLater();
    }, SOCKET_AGAIN_MS);
  }

  /** Nobody can be asked about a connection that a ticket has opened: another ticket keeps it open. */
  #renewLater(link, seconds, part = 0.5) {
    if (!(seconds > 0)) return;
    const delay = seconds * SECOND * part * (1 + this.#env.random() / 2);
    link.renewing = this.#later(() => this.#renew(link, seconds), delay);
  }

  async #renew(link, seconds) {
    const { user, problem, ticket } = await this.#calls.question(true);
    if (link.over) return;
    if (user === undefined) return this.#renewLater(link, seconds, 0.1);
    if (user !== this.#status.userId) {
      this.#become(user, problem);
      if (user) this.#try();
      return;
    }
    this.#queue.push({ renewal: link, message: { renewTicket: ticket }, until: this.#env.now() + REQUEST_MS });
    this.#pump();
  }

  #closed(link, code, now = false) {
    if (link.over) return;
    this.#end(link);
    if (!link.heard && code < 1012) this.#blame(link);
    if (this.#opening === link) this.#opening = null;
    if (this.#link && this.#link !== link) return this.#probeLater();
    this.#link = null;
    const held = link.heard ? this.#env.now() - link.since : 0;
    if (held > HELD_MS) {
      this.#failures = 0;
      this.#asked = false;
    }
    // A ticket that has run out is no trouble.
    const ask = code >= 4500 && code < 5000 && (!this.#asked || (code === 4502 && held > SECOND));
    this.#asked ||= ask;
    if (ask || now) return this.#try();
    if (OUR_FAULT.includes(code)) this.#failures = LONG_WAIT;
    this.#wait("offline", "");
  }

  /** A connection never said a word, though POST was answered: something between does not let it through. */
  #blame(link) {
    if (link.via === "events") this.#socketFailures = 1;
    else if (++this.#socketFailures > 1) this.#socketAgain = this.#env.now() + SOCKET_AGAIN_MS;
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────

  #take(request) {
    // Of a user whose line this is not: its page is told so, and asks again or gives up.
    if (request.user !== this.#status.userId || this.#queue.some(({ ask }) => ask === request.ask)) return;
    this.#queue.push({ ...request, until: this.#env.now() + REQUEST_MS });
    this.#pump();
  }

  #pump() {
    if (this.#turn || !this.#link?.sure) return;
    const now = this.#env.now();
    this.#queue = this.#queue.filter(({ until }) => until > now);
    const [request] = this.#queue;
    if (!request) return;
    const turn = (this.#turn = {});
    const text = JSON.stringify(request.message);
    // That something was seen has no answer of its own on a WebSocket, and must outlive its connection.
    if (this.#link.via === "websocket" && !request.message.notificationDataSeen) {
      this.#show("out", "websocket", text);
      this.#link.send(text);
    } else {
      this.#postMessage(turn, text);
    }
  }

  async #postMessage(turn, text) {
    this.#show("out", "post", text);
    const { status, body, text: answer, after } = await this.#calls.post("/messages", text);
    if (answer) this.#show("in", "post", answer);
    // Beside events what is read comes by its own POST, whose cookies may be somebody else's by now.
    const listed = body.newNotificationData ?? body.seenNotificationData;
    if (this.#turn !== turn || (listed && !(await this.#prove(this.#link))) || this.#turn !== turn) return;
    if (!status || status === 429 || status === 503) this.#again(after);
    else this.#answer(status === 200 ? body : { error: { code: body.code ?? "unreachable", message: body.detail } });
    this.#pump();
  }

  #answer({ error, newNotificationData, seenNotificationData, ticketRenewed }) {
    if (!this.#turn) return;
    if (error?.code === "rate_limited" || error?.code === "unavailable") return this.#again();
    this.#turn = null;
    const { ask, renewal } = this.#queue.shift();
    // Without another ticket this connection ends soon, so that the next one is better made now.
    if (renewal) return ticketRenewed ? this.#renewLater(renewal, ticketRenewed.seconds) : this.#try();
    const items = newNotificationData ?? seenNotificationData ?? [];
    this.#tell({ answer: ask, ...(error ? { error: error.code, message: error.message } : { items }) });
  }

  /** The same once more, a little later: it stays the queue's first. */
  #again(after) {
    const turn = (this.#turn = {});
    this.#later(() => {
      if (this.#turn !== turn) return;
      this.#turn = null;
      this.#pump();
    }, after || SECOND);
  }

  #show(direction, via, text) {
    if (this.#frames) this.#tell({ frame: { direction, via, text } });
  }
}

function openSocket(url, { WebSocket }, on, ticket) {
  const protocols = ticket ? ["pns.v1", `pns.ticket.${ticket}`] : ["pns.v1"];
  const socket = new WebSocket(url.replace(/^http/, "ws") + "/subscribe", protocols);
  socket.onmessage = ({ data }) => on.message(data);
  socket.onclose = ({ code }) => on.close(code);
  return { send: (text) => socket.send(text), close: () => socket.close() };
}

function openEvents(url, { EventSource }, on, ticket) {
  const query = ticket ? `?ticket=${encodeURIComponent(ticket)}` : "";
  const source = new EventSource(`${url}/subscribe${query}`, { withCredentials: !ticket });
  source.onmessage = ({ data }) => on.message(data);
  // It would connect again by itself, and not by our rules.
  source.onerror = () => on.close(1006);
  source.addEventListener("close", ({ data }) => on.close(parse(data)?.code ?? 1006));
  return { close: () => source.close() };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// ── where the line lives ────────────────────────────────────────────────────────────────────────────────
//
// Each way takes (page, fail) and returns { post, leave }; it returns nothing, throws, or calls `fail`, where it
// cannot be had.
// A way says { hail: true } when a Line begins that knows nothing of this page.

function byWorker({ url, env, deliver }, fail) {
  if (!env.SharedWorker) return null;
  const worker = new env.SharedWorker(trusted(`${url}/worker-${version}.js`), { type: "module", name: url });
  worker.onerror = fail;
  worker.port.onmessage = ({ data }) => deliver(data);
  return {
    post: (message) => worker.port.postMessage(message),
    leave() {
      worker.onerror = worker.port.onmessage = null;
    },
  };
}

let policy;

/** `address` as a page takes it under `require-trusted-types-for 'script'`; one policy a page, named pns. */
export function trusted(address) {
  policy ??= globalThis.trustedTypes?.createPolicy("pns", { createScriptURL: (text) => text });
  return policy?.createScriptURL(address) ?? address;
}

function byLock(page, fail) {
  const { url, env, deliver } = page;
  if (!env.locks) return null;
  const name = `pns ${version} ${url}`;
  const channel = new env.BroadcastChannel(name);
  const abort = new AbortController();
  let line = null;
  let release = null;
  const tell = (down) => {
    channel.postMessage({ down });
    deliver(down);
  };
  channel.onmessage = ({ data: { up, down } }) => (down ? deliver(down) : line?.receive(up));
  const lead = () =>
    new Promise((resolve) => {
      release = resolve;
      line = new Line(page, tell);
      tell({ hail: true });
    });
  env.locks.request(name, { signal: abort.signal }, lead).catch(() => abort.signal.aborted || fail());
  return {
    post: (up) => (line ? line.receive(up) : channel.postMessage({ up })),
    leave() {
      abort.abort();
      line?.close();
      channel.close();
      release?.();
    },
  };
}

function alone(page) {
  const line = new Line(page, page.deliver);
  return { post: (message) => line.receive(message), leave: () => line.close() };
}

export function serve(scope, environment) {
  const ports = new Set();
  const url = new URL(".", scope.location.href).href.replace(/\/$/, "");
  const env = surroundings(environment);
  const line = new Line({ url, env, calls: new Calls(url, env) }, (message) => {
    for (const port of ports) port.postMessage(message);
  });
  scope.onconnect = ({ ports: [port] }) => {
    port.onmessage = ({ data }) => {
      if (data.bye) ports.delete(port);
      else ports.add(port);
      line.receive(data);
    };
  };
}

// ── the page's side ─────────────────────────────────────────────────────────────────────────────────────

export class PNSClient extends EventTarget {
  #env;
  #options;
  #calls;
  #way = null;
  #away = false; // this page is hidden for good, or may come back
  #events = null;
  #status = START; // what is shown
  #user = null; // what this page was answered last, "" for nobody; null while that is in doubt
  #before = null; // what it was answered before that
  #question = null; // the one under way; an answer to another one is void
  #asked = 0; // when
  #left = false; // since then, this page was not looked at
  #next = null; // when it asks again by itself
  #mute; // when its way is given up that says nothing
  #fail; // how
  #failures = 0;
  #changes = 0; // of user, in a row
  #changed = 0; // when, the last time
  #id;
  #asks = 0;
  #waiting = new Map();
  #known = new Set();
  #met = false;
  #following;

  constructor(url, options = {}) {
    super();
    this.#options = { share: true, connect: true, ...options };
    this.#env = surroundings(options.environment);
    this.url = new URL(url, globalThis.document?.baseURI).href.replace(/\/+$/, "");
    this.#calls = new Calls(this.url, this.#env, this.#options.headers, (answer) => this.#way && this.#become(answer));
    this.#id = `${this.#env.now()} ${this.#env.random()}`;
    if (this.#options.connect) this.connect();
  }

  get count() {
    return this.#status.count;
  }

  get state() {
    return this.#status.state;
  }

  get retryAt() {
    return this.#status.retryAt;
  }

  get problem() {
    return this.#status.problem;
  }

  get userId() {
    return this.#status.userId;
  }

  connect() {
    // Whoever is logged out may ask now and then: that is no news until the answer is another.
    if (!this.#way || !["live", "logged-out"].includes(this.state)) {
      this.#update({ ...this.#status, state: "connecting", retryAt: null, problem: "" });
    }
    if (!this.#way) {
      this.#listen();
      this.#join();
    }
    this.#inquire(true);
  }

  disconnect() {
    this.#events?.abort();
    this.#leave();
    this.#update({ ...START, state: "offline", problem: "disconnected" });
    for (const ask of [...this.#waiting.keys()]) this.#settle({ answer: ask, error: "disconnected" });
  }

  async unseen({ ack = false, limit } = {}) {
    // Always with `ack`, so that nothing is lost on the way: what arrived here is then said to be seen.
    let user;
    const items = await this.#ask({ unseenNotificationDataRequest: { ack: true, limit } }, (found) => {
      user = this.#user;
      this.#meet(found);
    });
    if (!ack && items.length && user === this.#user) await this.markSeen(items.at(-1).notification_id).catch(() => {});
    if (user !== this.#user) throw new PNSError("user_changed");
    return items;
  }

  async markSeen(upTo) {
    await this.#ask({ notificationDataSeen: { upTo } });
  }

  seen({ after, before, receivedAfter, limit } = {}) {
    return this.#ask({ seenNotificationsRequest: { after, before, receivedAfter, limit } });
  }

  async *unseenPages({ limit } = {}) {
    for (;;) {
      const items = await this.unseen({ ack: true, limit });
      if (!items.length) return;
      const user = this.#before;
      yield items;
      if (user !== this.#before) throw new PNSError("user_changed");
      await this.markSeen(items.at(-1).notification_id);
    }
  }

  async *seenPages(options = {}) {
    const place = options.before === undefined ? "after" : "before";
    for (let from = options; ; ) {
      const items = await this.seen(from);
      if (!items.length) return;
      yield items;
      from = { ...options, [place]: items.at(-1).notification_id };
    }
  }

  // ── joining and leaving a line ────────────────────────────────────────────────────────────────────────

  #join() {
    const ways = this.#options.share && !this.#options.headers ? [byWorker, byLock, alone] : [alone];
    const next = () => {
      const way = ways.shift();
      const page = {
        url: this.url,
        env: this.#env,
        calls: this.#calls,
        // What a way says before it is ours, or after, is of no concern.
        deliver: (message) => mine && this.#way === mine && this.#deliver(message),
        status: () => this.#status,
      };
      let mine = null;
      this.#fail = () => {
        if (this.#way !== mine) return;
        mine.leave();
        next();
      };
      try {
        mine = this.#way = way(page, this.#fail);
      } catch {} // this browser lacks it
      if (mine) this.#hello();
      else next();
    };
    next();
  }

  #hello(answer, urgent) {
    if (this.#user === null) return;
    // A line always answers: a worker or a leader that does not is dead.
    this.#env.clearTimeout(this.#mute);
    this.#mute = this.#env.setTimeout(this.#fail, OPENING_MS);
    const { problem } = answer ?? this.#status;
    this.#way.post({ hello: this.#id, frames: this.#options.frames, user: this.#user, problem, answer, urgent });
    for (const ask of this.#waiting.keys()) this.#send(ask);
  }

  /** From now on this page is nobody's, until it has asked. */
  #leave() {
    const way = this.#way;
    this.#way = this.#user = this.#question = null;
    this.#env.clearTimeout(this.#next);
    this.#env.clearTimeout(this.#mute);
    way?.post({ bye: this.#id });
    way?.leave();
  }

  #listen() {
    const { window, document } = this.#env;
    const { signal } = (this.#events = new AbortController());
    const on = (target, type, act) => target?.addEventListener(type, act, { signal });
    on(window, "online", () => (this.#user === null ? this.#look(0) : this.#way?.post({ nudge: "online" })));
    on(window, "offline", () => this.#way?.post({ nudge: "offline" }));
    on(window, "focus", () => this.#look());
    on(window, "blur", () => (this.#left = true));
    on(document, "visibilitychange", () => {
      if (document.visibilityState === "visible") this.#look();
      else this.#left = true;
    });
    // A page that is put aside and taken out again must not keep others from leading meanwhile, and shows nothing
    // until it knows whose it is by then.
    on(window, "pagehide", () => {
      this.#away = true;
      this.#leave();
      this.#update(START);
    });
    on(window, "pageshow", () => {
      if (!this.#away) return;
      this.#away = false;
      this.#join();
      this.#inquire();
    });
  }

  // ── whose this page is ────────────────────────────────────────────────────────────────────────────────

  /** The page is looked at: ask, but not again within `pause`. */
  #look(pause = LOOK_MS) {
    if (!this.#way || this.#question) return;
    const now = this.#env.now();
    const due = Math.max(this.#asked + pause, this.#status.notBefore);
    if (now >= due) return this.#inquire();
    // Somebody may have logged in elsewhere since.
    if (this.#left && this.#user !== null) this.#later(due - now);
    this.#way.post({ nudge: "look" });
  }

  #later(delay) {
    this.#env.clearTimeout(this.#next);
    this.#next = this.#env.setTimeout(() => this.#inquire(), delay);
  }

  async #inquire(urgent) {
    const question = (this.#question = {});
    this.#env.clearTimeout(this.#next);
    this.#asked = this.#env.now();
    this.#left = false;
    const answer = await this.#calls.question();
    if (this.#question !== question) return;
    this.#question = null;
    if (answer.user === undefined) return this.#doubt(answer);
    this.#failures = 0;
    this.#hello(answer, urgent);
  }

  /** No answer: what is shown stays, and where nothing is shown, nothing is. */
  #doubt({ state, problem, after = 0 }) {
    // The line says how it is, where it has not been said since connect().
    if (this.#user !== null) return this.#hello();
    if (state === "error") this.#failures = LONG_WAIT;
    const now = this.#env.now();
    const delay = after + this.#env.random() * boundOf(this.#failures++);
    this.#update({ ...START, state, problem, retryAt: now + delay, notBefore: now + after });
    this.#later(delay);
  }

  /** The answer is this user, or "": nothing of another one is shown, or asked for, from now on. */
  #become({ user, problem = "" }) {
    this.#user = user;
    if (user !== this.#before) {
      this.#known.clear();
      this.#met = false;
      this.#following = null;
      this.#before = user;
    }
    if (user !== this.userId || !user) {
      this.#update({ ...START, userId: user, state: user ? "connecting" : "logged-out", problem });
    }
    for (const [ask, waiting] of this.#waiting) {
      waiting.user ??= user;
      if (!user) this.#settle({ answer: ask, error: "unauthorized" });
      else if (waiting.user !== user) this.#settle({ answer: ask, error: "user_changed" });
    }
  }

  /** The line is another user's by now: so may this page be. */
  #lose() {
    this.#user = null;
    if (this.userId) this.#update(START);
    const now = this.#env.now();
    if (now - this.#changed > CALM_MS) this.#changes = 0;
    this.#changed = now;
    // Users that change and change again must not become a storm of all pages.
    if (!this.#changes++) this.#inquire();
    else this.#later((boundOf(this.#changes - 2) * (1 + this.#env.random())) / 2);
  }

  // ── what the line says ────────────────────────────────────────────────────────────────────────────────

  #deliver(message) {
    this.#env.clearTimeout(this.#mute);
    if (message.hail) this.#hello();
    else if (this.#user === null) return;
    else if (message.status) this.#hear(message.status);
    else if (message.user !== this.#user) return;
    else if (message.answer) this.#settle(message);
    else if (this.#options.frames) this.#dispatch("frame", message.frame);
  }

  #hear(status) {
    if (status.userId === this.#user) this.#update(status);
    // A line that has heard of no page yet is nobody's.
    else if (status.userId || status.state === "logged-out") this.#lose();
  }

  #update(status) {
    const before = this.#status;
    this.#status = status;
    if (status.userId !== before.userId) this.#dispatch("user", status.userId);
    if (status.count !== before.count) this.#dispatch("count", status.count);
    if (["state", "retryAt", "problem"].some((name) => status[name] !== before[name])) {
      this.#dispatch("state", status.state);
    }
    if (this.#status !== status || status.state !== "live") return;
    if (!status.count) this.#met = true;
    else if (status.count > before.count || before.state !== "live") this.#follow();
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async #follow() {
    if (!this.#options.follow || this.#following) return;
    const following = (this.#following = {});
    let count;
    do {
      count = this.count;
      await this.unseen({ ack: true }).catch(() => {});
      // More may have come while the answer was on its way.
    } while (this.#following === following && this.state === "live" && this.count > count);
    if (this.#following === following) this.#following = null;
  }

  #meet(items) {
    const fresh = items.filter(({ notification_id: id }) => !this.#known.has(id));
    for (const { notification_id: id } of fresh) this.#known.add(id);
    for (const id of this.#known) {
      if (this.#known.size <= KNOWN_IDS) break;
      this.#known.delete(id);
    }
    const first = !this.#met;
    this.#met = true;
    if (fresh.length) this.#dispatch("notifications", { items: fresh, first });
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────

  /** `first` gets the answer in the turn in which it comes, while it is this user's for sure. */
  #ask(message, first) {
    if (!this.#way) return Promise.reject(new PNSError("disconnected"));
    if (this.#user === "") return Promise.reject(new PNSError("unauthorized"));
    const ask = `${this.#id} ${++this.#asks}`;
    return new Promise((resolve, reject) => {
      const timer = this.#env.setTimeout(() => this.#settle({ answer: ask, error: "timeout" }), REQUEST_MS);
      this.#waiting.set(ask, { message, user: this.#user, first, resolve, reject, timer });
      this.#send(ask);
    });
  }

  #send(ask) {
    const { message, user } = this.#waiting.get(ask);
    if (this.#user !== null) this.#way.post({ ask, message, user });
  }

  #settle({ answer, items, error, message }) {
    const waiting = this.#waiting.get(answer);
    if (!waiting) return;
    this.#waiting.delete(answer);
    this.#env.clearTimeout(waiting.timer);
    if (error) return waiting.reject(new PNSError(error, message));
    waiting.first?.(items);
    waiting.resolve(items);
  }
}
