// The page's side: what it asks and is told, and whose it is. client.d.ts says what a page may rely on.

import { Calls } from "./calls.js";
import { CALM_MS, KNOWN_IDS, LONG_WAIT, LOOK_MS, OPENING_MS, PULSE_MS, QUIET_MS, REQUEST_MS } from "./surroundings.js";
import { START, boundOf, surroundings } from "./surroundings.js";
import { alone, byLock, byWorker } from "./ways.js";

export class PNSError extends Error {
  name = "PNSError";

  constructor(code, message = code) {
    super(message);
    this.code = code;
  }
}

export class PNSClient extends EventTarget {
  #env;
  #options;
  #calls;
  #way;
  #away; // this page is hidden for good, or may come back
  #events;
  #status = START; // what is shown
  #user = null; // what this page was answered last, "" for nobody; null while that is in doubt
  #before; // what it was answered before that
  #question; // the one under way; an answer to another one is void
  #asked = 0; // when
  #left; // since then, this page was not looked at
  #next; // when it asks again by itself
  #fail; // gives its way up
  #heard; // 1 where that way has said something
  #owed; // signs of life that it was asked for since
  #pulse; // when it is asked for one, or given up
  #quiet = QUIET_MS; // for how long it may say nothing
  #failures = 0;
  #changes = 0; // of user, in a row
  #changed; // when, the last time
  #id;
  #asks = 0;
  #waiting = new Map();
  #wish = []; // the categories whose numbers this page asked for; "" is for all
  #counts = null; // what it shows of them
  #known = new Set();
  #met;
  #following;

  constructor(url, options = {}) {
    super();
    this.#options = options;
    this.#env = surroundings(options.environment);
    this.url = new URL(url, globalThis.document?.baseURI).href.replace(/\/+$/, "");
    this.#calls = new Calls(this.url, this.#env, options.headers, (answer) => {
      this.#quiet = Math.min(answer.silence ?? QUIET_MS, QUIET_MS);
      if (this.#way) this.#become(answer);
    });
    this.#id = `${this.#env.now()} ${this.#env.random()}`;
    if (options.connect ?? true) this.connect();
  }

  get count() {
    return this.#status.count;
  }

  get counts() {
    return this.#counts;
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
    if (!["live", "logged-out"].includes(this.#way && this.state)) {
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
    for (const ask of this.#waiting.keys()) this.#settle({ answer: ask, error: "disconnected" });
  }

  followCounts(categories) {
    this.#wish = categories?.[0] ? categories : [""];
    if (this.#way) this.#hello();
  }

  wake(nudge = "look") {
    if (this.#way) this.#post({ nudge });
  }

  async unseen({ ack = false, ...asked } = {}) {
    // Always with `ack`, so that nothing is lost on the way: what arrived here is then said to be seen.
    let user;
    const items = await this.#ask({ unseenNotificationDataRequest: { ...asked, ack: true } }, (found) => {
      user = this.#user;
      this.#meet(found);
    });
    if (!ack && items[0] && user === this.#user) await this.markSeen(items.at(-1).notification_id).catch(() => {});
    if (user !== this.#user) throw new PNSError("user_changed");
    return items;
  }

  markSeen(upTo) {
    return this.#ask({ notificationDataSeen: { upTo } }).then(() => {});
  }

  mark(marks) {
    return this.#ask({ markNotifications: marks });
  }

  seen(asked = {}) {
    return this.#ask({ seenNotificationsRequest: asked });
  }

  async *unseenPages(asked) {
    for (;;) {
      const items = await this.unseen({ ...asked, ack: true });
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
    const { share = true, headers } = this.#options;
    const ways = share && !headers ? [byWorker, byLock, alone] : [alone];
    const next = () => {
      const way = ways.shift();
      const page = {
        url: this.url,
        env: this.#env,
        calls: this.#calls,
        // What a way says before it is ours, or after, is of no concern.
        deliver: (message) => mine && this.#way === mine && this.#deliver(message),
        status: () => ({ ...this.#status, count: this.count || undefined }),
      };
      let mine;
      this.#heard = this.#owed = 0;
      this.#fail = () => {
        if (this.#way !== mine) return;
        mine.post({ bye: this.#id });
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
    const { problem } = answer ?? this.#status;
    this.#post({
      hello: this.#id,
      frames: this.#options.frames,
      counts: this.#wish,
      user: this.#user,
      problem,
      answer,
      urgent,
    });
    for (const ask of this.#waiting.keys()) this.#send(ask);
  }

  /** To the line, which always answers: a worker or a leader that does not is dead. */
  #post(message) {
    if (!this.#owed) this.#expect(this.#heard ? PULSE_MS : OPENING_MS, 1);
    this.#way.post(message);
  }

  /** So many signs of life are owed: within this time, or the way is dead. */
  #expect(milliseconds, owed) {
    this.#owed = owed;
    this.#env.clearTimeout(this.#pulse);
    this.#pulse = this.#env.setTimeout(() => this.#miss(), milliseconds);
  }

  #miss() {
    const { take = this.#fail } = this.#way;
    if (this.#owed > this.#heard) return take();
    // Asked twice: where this page was too busy to listen, it hears the first answer meanwhile.
    this.#expect(PULSE_MS, this.#owed + 1);
    this.#hello();
  }

  /** From now on this page is nobody's, until it has asked. */
  #leave() {
    const way = this.#way;
    this.#way = this.#user = this.#question = null;
    this.#env.clearTimeout(this.#next);
    this.#env.clearTimeout(this.#pulse);
    way?.post({ bye: this.#id });
    way?.leave();
  }

  #listen() {
    const { window, document } = this.#env;
    this.#events = new AbortController();
    const on = (target, type, act) => target?.addEventListener(type, act, this.#events);
    on(window, "online", () => (this.#user === null ? this.#look(0) : this.wake("online")));
    on(window, "offline", () => this.wake("offline"));
    on(window, "focus", () => this.#look());
    on(window, "blur", () => (this.#left = true));
    on(document, "visibilitychange", () => {
      if (document.visibilityState === "visible") this.#look();
      else this.#left = true;
    });
    // A page that is put aside or frozen, and taken out again, must not keep others from leading meanwhile.
    const aside = () => {
      this.#away = true;
      this.#leave();
    };
    const back = () => {
      if (!this.#away) return;
      this.#away = false;
      this.#join();
      this.#inquire();
    };
    on(document, "freeze", () => {
      const user = this.#user;
      aside();
      this.#user = user;
    });
    on(document, "resume", back);
    // One that is put aside shows nothing until it knows whose it is by then.
    on(window, "pagehide", () => {
      // A worker that ends with this page may not have heard its last marks. By ids, as the cookies may be another's.
      for (const { message } of this.#waiting.values()) {
        const [asked] = Object.values(message);
        if (asked.ids ?? asked.upTo) this.#calls.post("/messages", JSON.stringify(message));
      }
      aside();
      this.#update(START);
    });
    on(window, "pageshow", back);
  }

  // ── whose this page is ────────────────────────────────────────────────────────────────────────────────

  /** The page is looked at: ask, but not again within `pause`. */
  #look(pause = LOOK_MS) {
    if (!this.#way || this.#question) return;
    const due = Math.max(this.#asked + pause, this.#status.notBefore);
    const now = this.#env.now();
    if (now >= due) return this.#inquire();
    // Somebody may have logged in elsewhere since.
    if (this.#left && this.#user !== null) this.#later(due - now);
    this.wake();
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
    this.wake("pulse");
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
    this.#later(delay);
    this.#update({ ...START, state, problem, retryAt: now + delay, notBefore: now + after });
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
    for (const [answer, waiting] of this.#waiting) {
      waiting.user ??= user;
      if (!user) this.#settle({ answer, error: "unauthorized" });
      else if (waiting.user !== user) this.#settle({ answer, error: "user_changed" });
    }
  }

  /** The line is another user's by now: so may this page be. */
  #lose() {
    this.#user = null;
    if (this.userId) this.#update(START);
    if (this.#env.now() - this.#changed > CALM_MS) this.#changes = 0;
    this.#changed = this.#env.now();
    // Users that change and change again must not become a storm of all pages.
    if (!this.#changes++) this.#inquire();
    else this.#later((boundOf(this.#changes - 2) * (1 + this.#env.random())) / 2);
  }

  // ── what the line says ────────────────────────────────────────────────────────────────────────────────

  #deliver(message) {
    const first = !this.#heard;
    // A status is none of the signs: a tab that is frozen answers a hello, and says what it knew.
    if (first || !message.status) {
      this.#heard = 1;
      this.#expect(Math.min(this.#waiting.size ? OPENING_MS : QUIET_MS, this.#quiet) - 2 * PULSE_MS, 0);
    }
    if (first) this.wake("pulse");
    if (message.hail) this.#hello();
    else if (this.#user === null) return;
    else if (message.status) this.#hear(message.status);
    else if (message.user !== this.#user) return;
    else if (message.answer) this.#settle(message);
    else if (message.frame && this.#options.frames) this.#dispatch("frame", message.frame);
  }

  #hear(status) {
    const { count, counts } = this.#status;
    // A line that has just begun may know less than this page.
    if (status.userId === this.#user) this.#update(status.count === undefined ? { ...status, count, counts } : status);
    // A line that has heard of no page yet is nobody's.
    else if (status.userId || status.state === "logged-out") this.#lose();
  }

  #update(status) {
    const before = this.#status;
    const wish = this.#wish;
    const told = wish.length ? status.counts : null;
    // Of the categories those of its own, by the names that are left in.
    const counts = JSON.stringify(told, wish[0] && [...Object.keys({ ...told }), ...wish]);
    const recounted = counts !== JSON.stringify(this.#counts);
    if (recounted) this.#counts = JSON.parse(counts);
    this.#status = status;
    if (status.userId !== before.userId) this.#dispatch("user", status.userId);
    if (status.count !== before.count) this.#dispatch("count", status.count);
    if (recounted) this.#dispatch("counts", this.#counts);
    if (status.state !== before.state || status.retryAt !== before.retryAt || status.problem !== before.problem) {
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
    const fresh = items.filter(({ notification_id: id }) => !this.#known.has(id) && this.#known.add(id));
    for (const id of this.#known) if (this.#known.size > KNOWN_IDS) this.#known.delete(id);
    const first = !this.#met;
    this.#met = true;
    if (fresh.length) this.#dispatch("notifications", { items: fresh, first });
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────

  /** `first` gets the answer in the turn in which it comes, while it is this user's for sure. */
  async #ask(message, first) {
    if (!this.#way) throw new PNSError("disconnected");
    if (this.#user === "") throw new PNSError("unauthorized");
    const ask = `${this.#id} ${++this.#asks}`;
    return new Promise((resolve, reject) => {
      const timer = this.#env.setTimeout(() => this.#settle({ answer: ask, error: "timeout" }), REQUEST_MS);
      this.#waiting.set(ask, { message, user: this.#user, first, resolve, reject, timer });
      this.#send(ask);
    });
  }

  #send(ask) {
    const { message, user } = this.#waiting.get(ask);
    if (this.#user !== null) this.#post({ ask, message, user });
  }

  #settle({ answer, items, error }) {
    const waiting = this.#waiting.get(answer);
    if (!waiting) return;
    this.#waiting.delete(answer);
    this.#env.clearTimeout(waiting.timer);
    if (error) return waiting.reject(new PNSError(error.code ?? error, error.message));
    waiting.first?.(items);
    waiting.resolve(items);
  }
}
