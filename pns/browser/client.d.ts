/** The version of PNS that this file belongs to. */
export const version: string;

/**
 * `connecting`: no count yet, or a try is under way. `live`: `count` is true now. `offline`: the line is
 * down, the next try is at `retryAt`. `logged-out`: the application does not know this visitor; asked again
 * on focus and by `connect()`. `error`: PNS is not where `url` says, or this page's origin may not use it.
 */
export type State = "connecting" | "live" | "offline" | "logged-out" | "error";

/** A member of a group. `data` is the application's text of the member, if one is kept. */
export interface GroupMember {
  readonly member: string;
  readonly data?: string;
}

/** What a notification stands for: `latest` has the newest members, at most three, the newest first. */
export interface Group {
  readonly times: number;
  readonly members: number;
  readonly latest: readonly GroupMember[];
  /** There are members beside these 1,000. */
  readonly more?: true;
}

/** One unseen notification. Times are RFC 3339 in UTC. */
export interface UnseenNotification {
  readonly notification_id: string;
  readonly notification_data: string;
  readonly create_date: string;
  readonly category?: string;
  readonly collapse_key?: string;
  readonly expire_date?: string;
  readonly group?: Group;
}

export interface SeenNotification extends UnseenNotification {
  readonly seen_date: string;
  readonly read_date?: string;
  readonly archived_date?: string;
}

export interface UnseenOptions {
  /** true: they stay unseen until `markSeen`. false (default): marked once this page has them. */
  ack?: boolean;
  /** At most this many; the server's `limits.page_size` is the default and the most. */
  limit?: number;
  /** Only this category. */
  category?: string;
}

/** `after`: oldest first behind that one. `before`: newest first before that one, `""` from the newest. */
export interface SeenOptions {
  after?: string;
  before?: string;
  /** RFC 3339: only those created later. */
  receivedAfter?: string;
  limit?: number;
  /** Only this category. */
  category?: string;
  /** Only those without `read_date`. */
  unread?: boolean;
  /** The archived ones alone; without it they are left out. */
  archived?: boolean;
}

/**
 * A mark, and what gets it: some by their ids (1 to 50), or all with a collapse key, of a category, or at all, no
 * further than `upTo`: a `notification_id`, the newest that the page showed. Archived is read, and read is seen.
 */
export type MarkRequest =
  | { as: "seen" | "read" | "unread" | "archived" | "unarchived"; ids: readonly string[] }
  | ({ as: "seen" | "read" | "archived"; ids?: never; upTo?: string } & (
      | { collapseKey: string; category?: never; all?: never }
      | { category: string; collapseKey?: never; all?: never }
      | { all: true; collapseKey?: never; category?: never }
    ));

/** How many notifications a mark really changed. */
export interface MarkResult {
  readonly as: MarkRequest["as"];
  readonly changed: number;
}

/** How many notifications are unseen, and not read. */
export interface CategoryCounts {
  readonly unseen: number;
  readonly unread: number;
}

/** The numbers of one moment. `unread`: kept, not archived, not read. */
export interface Counts extends CategoryCounts {
  /**
   * Of the categories that this page named, else of those with something unread, at most 64, the first by name. A named
   * one is missing until PNS has answered; while another page of the browser follows all categories, or after an event
   * stream, one without anything unread is missing, too.
   */
  readonly categories: Readonly<Record<string, CategoryCounts>>;
  /** Rises with every change of the user's notifications: a list that was read before it may be an old one. */
  readonly version: number;
  /** true: there are more categories than these. */
  readonly more?: boolean;
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
  /** `detail` is `counts`; dispatched after `count`, in the same turn, when it changed. Only after `followCounts()`. */
  counts: CustomEvent<Counts | null>;
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
 *
 * Whatever carries the connection of several pages may die (a SharedWorker), freeze or hang (another tab). Each page
 * notices by itself, within a minute or sooner, and goes on in another way: nothing is lost or told twice.
 */
export class PNSClient extends EventTarget {
  /** `url`: where PNS is mounted, absolute or relative to the page, such as "/pns". */
  constructor(url: string | URL, options?: PNSClientOptions);

  /** Where PNS is, absolute, without a slash at the end. */
  readonly url: string;
  /** Unseen notifications; 0 until known, and when logged out. */
  readonly count: number;
  /**
   * What `followCounts()` asked for; null until it is answered, when logged out, and where PNS is of a release before.
   * `counts.unseen` and `count` are never two numbers.
   */
  readonly counts: Counts | null;
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

  /**
   * From now on `counts` tells the numbers of these categories (at most 64), or without names of all that have something
   * unread. Asked again on each new connection. The last call is what counts. Pages that share a connection are each told
   * what they asked for; pages that did not ask cost nothing.
   */
  followCounts(categories?: readonly string[]): void;

  /**
   * PNS is looked at, as where a list of notifications is opened: whatever carries the connection has three seconds
   * to say that it lives, else it is replaced; a try that is waited for is made at once. Focus and `online` do the
   * same, as does each request.
   */
  wake(): void;

  /** A page of the unseen notifications, oldest first; `[]` when there is none. Rejects with PNSError. */
  unseen(options?: UnseenOptions): Promise<UnseenNotification[]>;
  /** All up to this one, inclusive, have been shown. Resolves once PNS has stored it. */
  markSeen(upTo: string): Promise<void>;
  /** Mark some as seen, read or archived, or take it back. The count follows by itself. Rejects with PNSError. */
  mark(marks: MarkRequest): Promise<MarkResult>;
  /** A page of the seen notifications; `[]` at the end. Rejects with PNSError. */
  seen(options?: SeenOptions): Promise<SeenNotification[]>;
  /** Page after page of the unseen, each marked once the next is asked for, until there is none. */
  unseenPages(options?: { limit?: number; category?: string }): AsyncGenerator<UnseenNotification[], void, void>;
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
