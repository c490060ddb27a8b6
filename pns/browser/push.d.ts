/**
 * `unknown`: not started, paused, or PNS has not answered yet. `unsupported`: this browser has no Web Push here
 * (no https, a private window, iOS outside of an installed app), PNS has it off, or the worker would be of another
 * origin. `off`, `on`: as the user wishes. `busy`: changing. `denied`: only the browser's settings can undo it.
 */
export type PushState = "unknown" | "unsupported" | "off" | "busy" | "on" | "denied";

/** A notification that was clicked, as it was shown. */
export interface PushClick {
  readonly id: string;
  /** Absolute, http or https, of the page's own origin; "" where it leads nowhere. */
  readonly url: string;
  readonly title: string;
  readonly body: string;
  readonly icon: string;
  /** When it was made, in milliseconds since the epoch. */
  readonly when: number;
}

/** What it takes from the browser; tests put their own in its place. */
export interface PushEnvironment {
  fetch: typeof fetch;
  serviceWorker: ServiceWorkerContainer | undefined;
  Notification: typeof Notification | undefined;
  PushManager: typeof PushManager | undefined;
  BroadcastChannel: new (name: string) => BroadcastChannel;
  locks: Pick<LockManager, "request"> | undefined;
  permissions: Pick<Permissions, "query"> | undefined;
  /** The page's. */
  origin: string;
  /** Whether the browser bears pushes that show nothing; Safari and Firefox end a subscription for them. */
  silent: boolean;
  navigate: (url: string) => void;
  setTimeout: (callback: () => void, milliseconds: number) => unknown;
  clearTimeout: (timer: any) => void;
}

export interface WebPushOptions {
  /** The page's login where it is no cookie, as of PNSClient. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  /** A worker of the page's own origin that takes in PNS's, needed where PNS is on another. */
  worker?: string;
  /** The title of a notification that has none; "New notification". */
  title?: string;
  environment?: Partial<PushEnvironment>;
}

export interface WebPushEvents {
  /** `detail` is the state; dispatched when it changed, and at the end of each `enable` and `disable`. */
  state: CustomEvent<PushState>;
  /** A notification was clicked, and this page is to follow it. Not cancelled, the page goes to its `url`. */
  click: CustomEvent<PushClick>;
}

/** Web Push for this browser: one wish of its user for all tabs. No method rejects, and no event throws. */
export class WebPush extends EventTarget {
  /** `url`: where PNS is mounted, absolute or relative to the page, such as "/pns". Asks nobody yet. */
  constructor(url: string | URL, options?: WebPushOptions);

  /** Where PNS is, absolute, without a slash at the end. */
  readonly url: string;
  readonly state: PushState;
  /** Why the last `enable` or `disable` failed: a code of PNS, a name of the browser's errors, or "". */
  readonly problem: string;

  /**
   * Find out the state; once somebody is logged in, and again for another user. Where it is wished for, PNS is
   * told each time, and what the browser or another key has ended is subscribed anew. Where PNS knows nobody (401
   * or 403), it is off until the next `start`. Never asks the user.
   */
  start(): Promise<PushState>;
  /** Ask for the permission, subscribe, tell PNS. In the turn of a click, before anything is awaited. */
  enable(): Promise<PushState>;
  /** Take it back, at PNS first; where PNS cannot be reached, at the browser all the same. */
  disable(): Promise<PushState>;
  /**
   * PNS was away, and may have come back with another key: then what is on is subscribed anew. Nothing else is
   * told, and nobody asked.
   */
  check(): Promise<PushState>;
  /**
   * Nobody is logged in any more: nothing is pushed here until the next `start`. The wish stays; a `start` or
   * `enable` that is under way goes no further.
   */
  pause(): Promise<PushState>;
  /** Close the notifications with these ids, or all that PNS has shown in this browser. */
  dismiss(ids?: Iterable<string>): Promise<void>;
  /** Listen to nothing any more; `start` begins again. */
  stop(): void;

  addEventListener<K extends keyof WebPushEvents>(
    type: K,
    listener: ((event: WebPushEvents[K]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof WebPushEvents>(
    type: K,
    listener: ((event: WebPushEvents[K]) => void) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}
