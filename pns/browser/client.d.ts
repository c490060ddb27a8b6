/** The version of PNS that this file belongs to. */
export const version: string;

/**
 * `connecting`: no count yet, or a try is under way. `live`: `count` is true now. `offline`: the line is
 * down, the next try is at `retryAt`. `logged-out`: the application does not know this visitor; asked again
 * on focus and by `connect()`. `error`: PNS is not where `url` says, or this page's origin may not use it.
 */
export type State = "connecting" | "live" | "offline" | "logged-out" | "error";

/** One unseen notification. Times are RFC 3339 in UTC. */
export interface UnseenNotification {
  readonly notification_id: string;
  readonly notification_data: string;
  readonly create_date: string;
  readonly category?: string;
  readonly collapse_key?: string;
  readonly expire_date?: string;
}

export interface SeenNotification extends UnseenNotification {
  readonly seen_date: string;
}

export interface UnseenOptions {
  /** true: they stay unseen until `markSeen`. false (default): marked once this page has them. */
  ack?: boolean;
  /** At most this many; the server's `limits.page_size` is the default and the most. */
  limit?: number;
}

/** `after`: oldest first behind that one. `before`: newest first before that one, `""` from the newest. */
export interface SeenOptions {
  after?: string;
  before?: string;
  /** RFC 3339: only those created later. */
  receivedAfter?: string;
  limit?: number;
}

/** A request that could not be served. */
export class PNSError extends Error {
  /**
   * The server's code (`rate_limited`, `unknown_notification`, `unavailable`, …), or the client's own:
   * `unauthorized` (logged out), `user_changed` (another user logged in while it was under way; nothing of either
   * is told), `disconnected` (by `disconnect()`), `timeout` (30 s without an answer).
   */
  readonly code: string;
  constructor(code: string, message?: string);
}

/** What the client takes from the browser; tests put their own in its place. */
export interface Environment {
  fetch: typeof fetch;
  WebSocket: new (url: string, protocols?: string[]) => WebSocket;
  EventSource: (new (url: string, init?: EventSourceInit) => EventSource) | undefined;
  SharedWorker: (new (url: string, options?: WorkerOptions) => SharedWorker) | undefined;
  BroadcastChannel: (new (name: string) => BroadcastChannel) | undefined;
  locks: Pick<LockManager, "request"> | undefined;
  /** Where `online`, `offline`, `focus`, `blur`, `pageshow` and `pagehide` happen. */
  window: EventTarget | undefined;
  document: (EventTarget & { readonly visibilityState: string }) | undefined;
  /** Where the page is. */
  location: Pick<Location, "protocol" | "hostname" | "origin"> | undefined;
  /** What keeps a text for this tab: its device, where `headers` are the login. May throw. */
  storage: () => Pick<Storage, "getItem" | "setItem">;
  /** Says to a developer why nothing is shown. */
  warn: (text: string) => void;
  setTimeout: (callback: () => void, milliseconds: number) => unknown;
  clearTimeout: (timer: any) => void;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** At least 0, below 1. */
  random: () => number;
}

export interface PNSClientOptions {
  /** One connection for all tabs of the browser (default true). */
  share?: boolean;
  /** Connect at once (default true). */
  connect?: boolean;
  /** Ask for what is unseen whenever the count rises, for `notifications` (default false). Marks nothing. */
  follow?: boolean;
  /** Dispatch `frame` (default false). */
  frames?: boolean;
  /**
   * The page's login where it is no cookie, or where PNS is on another site: asked before each request, and sent
   * with it in place of cookies. Such a client shares its connection with no other tab, and opens it by a ticket.
   * One that throws, or takes longer than 10 s, is no logout: it is asked again, after a wait.
   */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  environment?: Partial<Environment>;
}

/** Unseen notifications that this page had not before, each once. `first`: those of before it connected. */
export interface Arrival {
  readonly items: readonly UnseenNotification[];
  readonly first: boolean;
}

/** One message of the line as it passed. `via`: "websocket", "events" or "post". */
export interface Frame {
  readonly direction: "in" | "out";
  readonly via: "websocket" | "events" | "post";
  readonly text: string;
}

export interface PNSClientEvents {
  /**
   * `detail` is the `userId`; dispatched when it changed, before any other event of the change and with nothing of
   * a former user left in `count`. Whatever a page has drawn of the former one goes in its turn.
   */
  user: CustomEvent<string>;
  /** `detail` is the count; dispatched in the turn of the message that brought it, when it changed. */
  count: CustomEvent<number>;
  /** `detail` is the state; dispatched when `state`, `retryAt` or `problem` changed. */
  state: CustomEvent<State>;
  notifications: CustomEvent<Arrival>;
  frame: CustomEvent<Frame>;
}

/**
 * A user's inbox, live. One connection per browser; reconnects for ever. Never throws from an event. Why nothing is
 * shown (a refused origin, no PNS at `url`, a page of another site without `headers`) is said in the console, once.
 *
 * Each page asks PNS by itself for whom its cookies speak: at its start, at each `connect()`, when it comes back
 * from having been put aside, and when it is looked at again, then at most once in 10 s. It shows nothing of a user
 * whom its last answer did not name. Without an answer (no network, 429, 503) what is shown stays.
 */
export class PNSClient extends EventTarget {
  /** `url`: where PNS is mounted, absolute or relative to the page, such as "/pns". */
  constructor(url: string | URL, options?: PNSClientOptions);

  /** Where PNS is, absolute, without a slash at the end. */
  readonly url: string;
  /** Unseen notifications; 0 until known, and when logged out. */
  readonly count: number;
  readonly state: State;
  /** When the next try is due, in milliseconds since the epoch; null unless `offline` or `error`. */
  readonly retryAt: number | null;
  /** The code of the last refusal (`unauthorized`, `too_many_connections`, `draining`, …), or "". */
  readonly problem: string;
  /** Who is logged in, by this page's own last answer; "" until known, and when logged out. */
  readonly userId: string;

  /** Connect, or ask at once who is logged in by now: after a login or logout without a page load, and to try again. */
  connect(): void;
  /**
   * End this page's use; the connection ends when no page uses it. Open requests fail: `disconnected`. From then on
   * nothing is known: `count` is 0.
   */
  disconnect(): void;

  /** A page of the unseen notifications, oldest first; `[]` when there is none. Rejects with PNSError. */
  unseen(options?: UnseenOptions): Promise<UnseenNotification[]>;
  /** All up to this one, inclusive, have been shown. Resolves once PNS has stored it. */
  markSeen(upTo: string): Promise<void>;
  /** A page of the seen notifications; `[]` at the end. Rejects with PNSError. */
  seen(options?: SeenOptions): Promise<SeenNotification[]>;
  /** Page after page of the unseen, each marked once the next is asked for, until there is none. */
  unseenPages(options?: { limit?: number }): AsyncGenerator<UnseenNotification[], void, void>;
  /** Page after page of the seen, from where `options` says, until the end. */
  seenPages(options?: SeenOptions): AsyncGenerator<SeenNotification[], void, void>;

  addEventListener<K extends keyof PNSClientEvents>(
    type: K,
    listener: ((event: PNSClientEvents[K]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof PNSClientEvents>(
    type: K,
    listener: ((event: PNSClientEvents[K]) => void) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** The address of a script of PNS, as a page may load it that demands Trusted Types; the policy is named `pns`. */
export function trusted(address: string): string;

/** What worker.js runs: `scope` is the SharedWorkerGlobalScope. */
export function serve(scope: object, environment?: Partial<Environment>): void;
