// The connection, which is kept for ever: WebSocket or events, its tries and waits, and the requests on it.

import { HELD_MS, LONG_WAIT, OPENING_MS, REQUEST_MS, SECOND, SOCKET_AGAIN_MS } from "./surroundings.js";
import { START, boundOf, parse } from "./surroundings.js";

const OPEN = 1; // a socket's `readyState`
const OUR_FAULT = [1002, 1003, 1007, 1009];

/** Keeps one connection for ever, and serves the pages' requests one at a time. */
export class Line {
  #url;
  #env;
  #calls;
  #tell;
  #status; // its `userId` is the line's user
  #pages = new Map(); // and the categories that each wishes to be counted, if any; "" is for all
  #frames;
  #attempt; // the try under way; a result of another one is void
  #link; // the connection that was heard of
  #opening; // one that was not, yet
  #failures = 0;
  #asked; // a 45xx was followed up, and no connection has held since
  #retry;
  #silence;
  #socketFailures = 0;
  #socketAgain;
  #probe;
  #queue = [];
  #turn; // of the queue's first request, which is in flight: each sending is a turn of its own

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
    const { bye } = message;
    if (bye) {
      this.#pages.delete(bye);
      return this.#pages.size || this.close();
    }
    // A sign of life, by a timer: a tab that is frozen still hears the others, and none of its timers goes off.
    this.#env.setTimeout(() => this.#tell({}));
    if (message.hello) this.#join(message);
    else if (message.ask) this.#take(message);
    else this.#nudge(message.nudge);
  }

  close() {
    this.#drop();
    this.#queue = [];
    this.#status = { ...this.#status, state: "connecting", retryAt: null };
  }

  /** A page says for whom it is here; `answer` is what it has just been told, if it has asked. */
  #join({ hello, frames, user, problem, answer, urgent, counts = [] }) {
    this.#pages.set(hello, counts);
    this.#follow();
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
    this.#set({ ...START, userId, state: userId ? "connecting" : "logged-out", problem, count: undefined });
  }

  #set(change) {
    this.#status = { ...this.#status, ...change };
    this.#tell({ status: this.#status });
  }

  #isIdle() {
    return !this.#attempt && !this.#link && !this.#opening;
  }

  #drop() {
    this.#attempt = null;
    this.#env.clearTimeout(this.#retry);
    this.#env.clearTimeout(this.#probe);
    this.#end(this.#link);
    this.#end(this.#opening);
    this.#retry = this.#turn = this.#link = this.#opening = null;
  }

  #nudge(why) {
    const now = this.#env.now();
    if (why === "offline") {
      if (!this.#isIdle()) this.#wait(why, why);
    } else if (this.#link) {
      if (now - this.#link.heard > this.#silence) this.#closed(this.#link, 1006, true);
    } else if (why !== "pulse" && this.#isIdle() && this.#status.userId && now >= this.#status.notBefore) {
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
    const { EventSource, now } = this.#env;
    const events = EventSource && this.#socketFailures > 1 && now() < this.#socketAgain;
    this.#opening = this.#start(events ? openEvents : openSocket, answer);
  }

  #wait(state, problem = "", after = 0) {
    this.#drop();
    const now = this.#env.now();
    const delay = after + this.#env.random() * boundOf(this.#failures++);
    this.#retry = this.#env.setTimeout(() => this.#try(), delay);
    this.#set({ state, problem, retryAt: now + delay, notBefore: now + after });
  }

  // ── WebSocket, or events ──────────────────────────────────────────────────────────────────────────────

  #start(open, { ticket, renewal }) {
    const link = {
      via: open === openSocket ? "websocket" : "events",
      heard: 0,
      counts: null,
      asked: this.#names.length,
      ticket,
      renewal,
      close() {},
    };
    this.#watch(link, OPENING_MS);
    const on = {
      message: (text) => link.over || this.#hear(link, text),
      close: (code) => this.#closed(link, code),
    };
    try {
      Object.assign(link, open(this.#url, this.#env, on, ticket, link.asked));
    } catch {
      // A turn later, as everything that closes by itself: nobody has this link yet.
      Promise.resolve().then(() => on.close(1006));
    }
    return link;
  }

  #watch(link, milliseconds) {
    this.#env.clearTimeout(link.timer);
    // A stream that something between keeps for itself: the other way, without a wait.
    link.timer = this.#env.setTimeout(
      () => this.#closed(link, 1006, !link.heard && link.via === "events"),
      milliseconds,
    );
  }

  #end(link) {
    if (!link || link.over) return;
    link.over = true;
    this.#env.clearTimeout(link.timer);
    this.#env.clearTimeout(link.renewing);
    link.close();
  }

  #hear(link, text) {
    link.heard = this.#env.now();
    this.#watch(link, this.#silence);
    if (this.#link !== link) this.#adopt(link);
    this.#show("in", link.via, text);
    const message = parse(text);
    const count = message?.newNotificationCountChanged;
    const counts = message?.notificationCounts;
    // Both numbers are told in one turn, so that of the counts stands for both.
    if (counts) link.counts = counts;
    link.count = link.counts?.unseen ?? count ?? link.count;
    if (message && count === undefined && (!counts || this.#queue[0]?.message.countsRequest)) this.#answer(message);
    this.#live(link);
  }

  #live(link) {
    if (!link.sure || link.over) return;
    const { count, counts } = link;
    if (count !== undefined) this.#set({ count, counts, state: "live", retryAt: null, problem: "" });
    this.#pump();
  }

  /** The categories that the pages wish to be counted. */
  get #names() {
    return [...new Set([...this.#pages.values()].flat())];
  }

  /** Ask for the numbers that the pages wish, unless this connection tells them. */
  #follow() {
    const link = this.#link;
    const names = this.#names;
    const categories = names.includes("") ? undefined : names.slice(0, 64);
    const asked = `${names}`;
    if (!link || !names.length || link.asked === asked) return;
    // A stream tells all from its beginning, or none.
    if (link.via === "events") return link.asked || this.#try();
    link.asked = asked;
    this.#queue.push({ message: { countsRequest: { categories } } });
    this.#pump();
  }

  /** Whether the cookies speak for this user still: they may have been another's when `link` was opened or asked. */
  async #prove(link) {
    const { user, state, problem, after } = await this.#calls.question();
    if (link.over) return;
    if (user === this.#status.userId || problem === "too_many_connections") return true;
    if (user !== undefined) this.#become(user, problem);
    // Not at once: users that change and change again must not become a storm.
    if (user !== "") this.#wait(state ?? "offline", problem, after || boundOf(this.#failures) / 2);
  }

  /** The first word of a new connection: from now on it is the one. */
  async #adopt(link) {
    this.#end(this.#link);
    if (this.#opening === link) this.#opening = null;
    this.#link = link;
    link.since = this.#env.now();
    this.#turn = null;
    this.#queue = this.#queue.filter(({ ask }) => ask);
    if (link.via === "websocket") {
      this.#socketFailures = 0;
      this.#renewLater(link, link.renewal);
    } else this.#probeLater();
    // A ticket is its user's; cookies may be anybody's by now.
    this.#follow();
    link.sure = link.ticket || (await this.#prove(link));
    this.#live(link);
  }

  #probeLater() {
    this.#env.clearTimeout(this.#probe);
    // Beside the events, which go on until the WebSocket has said its first word.
    this.#probe = this.#env.setTimeout(async () => {
      const link = this.#link;
      const answer = await this.#calls.question();
      if (this.#link !== link || this.#opening) return;
      if (answer.user !== this.#status.userId) this.#probeLater();
      else this.#opening = this.#start(openSocket, answer);
    }, SOCKET_AGAIN_MS);
  }

  /** Nobody can be asked about a connection that a ticket has opened: another ticket keeps it open. */
  #renewLater(link, seconds, part = 0.5) {
    if (!(seconds > 0)) return;
    link.renewing = this.#env.setTimeout(
      () => this.#renew(link, seconds),
      seconds * SECOND * part * (1 + this.#env.random() / 2),
    );
  }

  async #renew(link, seconds) {
    const { user, problem, ticket } = await this.#calls.question(true);
    if (link.over) return;
    if (user === undefined) return this.#renewLater(link, seconds, 0.1);
    if (user !== this.#status.userId) {
      this.#become(user, problem);
      return user && this.#try();
    }
    this.#queue.push({ message: { renewTicket: ticket }, renewal: link, until: this.#env.now() + REQUEST_MS });
    this.#pump();
  }

  #closed(link, code, now) {
    if (link.over) return;
    this.#end(link);
    if (!link.heard && code < 1012) {
      // A connection never said a word, though POST was answered: something between does not let it through.
      if (link.via === "events") this.#socketFailures = 1;
      else if (++this.#socketFailures > 1) this.#socketAgain = this.#env.now() + SOCKET_AGAIN_MS;
    }
    if (this.#opening === link) this.#opening = null;
    if (this.#link && this.#link !== link) return this.#probeLater();
    this.#link = null;
    const held = link.heard && this.#env.now() - link.since;
    if (held > HELD_MS) {
      this.#failures = 0;
      this.#asked = false;
    }
    // A ticket that has run out is no trouble.
    const ask = code >= 4500 && code < 5000 && (!this.#asked || (code === 4502 && held > SECOND));
    this.#asked ||= ask;
    if (ask || now) return this.#try();
    if (OUR_FAULT.includes(code)) this.#failures = LONG_WAIT;
    this.#wait("offline");
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────

  #take(request) {
    // Of a user whose line this is not: its page is told so, and asks again or gives up.
    if (request.user !== this.#status.userId || this.#queue.some(({ ask }) => ask === request.ask)) return;
    this.#queue.push({ ...request, until: this.#env.now() + REQUEST_MS });
    this.#pump();
  }

  #pump() {
    const link = this.#link;
    if (this.#turn || !link?.sure) return;
    const now = this.#env.now();
    this.#queue = this.#queue.filter(({ until }) => !(until <= now));
    const [request] = this.#queue;
    if (!request) return;
    const turn = (this.#turn = {});
    const text = JSON.stringify(request.message);
    // That something was seen has no answer of its own on a WebSocket, and must outlive its connection.
    if (link.via === "websocket" && !request.message.notificationDataSeen) {
      this.#show("out", link.via, text);
      link.send(text);
      // Answers bear no names: after a lost answer only a new connection tells the next answer from that one.
      this.#env.setTimeout(() => this.#turn === turn && this.#closed(link, 1006), REQUEST_MS);
    } else {
      this.#postMessage(turn, text);
    }
  }

  async #postMessage(turn, text) {
    this.#show("out", "post", text);
    const { status, body, text: answer, after } = await this.#calls.post("/messages", text);
    if (answer) this.#show("in", "post", answer);
    // Beside events what is read comes by its own POST, whose cookies may be somebody else's by now.
    const [found] = Object.values(body);
    if (this.#turn !== turn) return;
    if (Array.isArray(found) && !(await this.#prove(this.#link))) return;
    if (this.#turn !== turn) return;
    if (!status || status === 429 || status === 503) this.#again(after);
    else this.#answer(status === 200 ? body : { error: { code: body.code ?? "unreachable", message: body.detail } });
    this.#pump();
  }

  /** A message has one member, and what is answered is its value. */
  #answer(message) {
    if (!this.#turn) return;
    const { error, ticketRenewed } = message;
    if (error?.code === "rate_limited" || error?.code === "unavailable") return this.#again();
    this.#turn = null;
    const { ask, renewal } = this.#queue.shift();
    // Without another ticket this connection ends soon, so that the next one is better made now.
    if (renewal) return ticketRenewed ? this.#renewLater(renewal, ticketRenewed.seconds) : this.#try();
    const [items] = Object.values(message);
    this.#tell({ answer: ask, items, error });
  }

  /** The same once more, a little later: it stays the queue's first. */
  #again(after) {
    const turn = (this.#turn = {});
    this.#env.setTimeout(() => {
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
  return {
    // A socket that closes drops what is sent, and the browser complains. `onclose` follows, and repeats it.
    send: (text) => socket.readyState === OPEN && socket.send(text),
    close: () => socket.close(),
  };
}

function openEvents(url, { EventSource }, on, ticket, counted) {
  const query = new URLSearchParams({ ...(ticket && { ticket }), ...(counted && { counts: true }) });
  const source = new EventSource(`${url}/subscribe?${query}`.replace(/\?$/, ""), { withCredentials: !ticket });
  source.onmessage = ({ data }) => on.message(data);
  // It would connect again by itself, and not by our rules.
  source.onerror = () => on.close(1006);
  source.addEventListener("close", ({ data }) => on.close(parse(data)?.code ?? 1006));
  return { close: () => source.close() };
}
