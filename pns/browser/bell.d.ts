import type { WebPush } from "./push.js";
import type { PNSInbox } from "./inbox.js";
import type { Frame, PNSClient, SeenNotification, State, UnseenNotification } from "./client.js";

export type { PNSInbox };

/** The version of PNS that this file belongs to. */
export const version: string;

/** What the data says by the convention; a plain string is a title. Missing or unsafe members are "". */
export interface Content {
  /** That of a group, where several are shown as one. */
  readonly title: string;
  readonly body: string;
  /** Absolute, http or https. */
  readonly url: string;
  /** Absolute, https or of the page's own origin. */
  readonly icon: string;
}

export interface Clicked {
  readonly notification: UnseenNotification | SeenNotification;
  readonly content: Content;
}

/** A button of a notification, as its data names it in `actions`; the address is absolute. */
export interface Action {
  readonly label: string;
  /** http or https; of the page's own origin for POST. */
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly style: "primary" | "danger" | "";
}

export interface Acted extends Clicked {
  readonly action: Action;
}

export interface PNSBellEvents {
  /** `detail` is the count. */
  "pns-count": CustomEvent<number>;
  "pns-state": CustomEvent<State>;
  "pns-open": CustomEvent<undefined>;
  "pns-close": CustomEvent<undefined>;
  /** Each message of the line; only with the attribute `frames`. */
  "pns-frame": CustomEvent<Frame>;
  /** An item was chosen, by pointer or Enter. Cancelled, its link is not followed. */
  "pns-click": CustomEvent<Clicked>;
  /** A button was pressed. Cancelled, nothing is sent, followed or marked: the page does it in its own way. */
  "pns-action": CustomEvent<Acted>;
}

/** The attributes of `<pns-bell>` and `<pns-inbox>`, as frameworks write them; `text-…` are their words. */
export interface PNSBellAttributes {
  /** Where PNS is, such as "/pns". */
  url?: string;
  src?: string;
  /** Categories, with commas between. */
  tabs?: string;
  badge?: "unread";
  preferences?: boolean | "";
  max?: number | string;
  theme?: "light" | "dark";
  toast?: boolean | "";
  push?: boolean | "";
  "push-worker"?: string;
  "csrf-header"?: string;
  sound?: string;
  "title-badge"?: boolean | "";
  "app-badge"?: boolean | "";
  frames?: boolean | "";
  [text: `text-${string}`]: string;
}

/**
 * `<pns-bell>`. Attributes: `url` (or `src`), `max`, `theme` ("light", "dark"), `sound` (an address),
 * `title-badge`, `app-badge`, `badge` ("unread"), `tabs` (categories), `preferences`, `toast`, `push`, `push-worker` (an address), `csrf-header`, `frames`, and `text-…` for its words.
 * Never throws from an event.
 */
export class PNSBell extends HTMLElement {
  /** Unseen notifications; 0 until known. */
  readonly count: number;
  readonly state: State;
  readonly isOpen: boolean;
  /** The client that the bell uses; null while it is in no document. */
  readonly client: PNSClient | null;
  /** Web Push for this browser; null without the attribute `push`, and until its code has been fetched. */
  readonly webPush: WebPush | null;
  /** An item as the page wants it; nothing returned is the usual item. A string is shown as text. */
  render?: (notification: UnseenNotification | SeenNotification, content: Content) => Node | string | null | undefined;
  /** The page's login where it is no cookie, as of PNSClient: sent with each request. Set, it connects anew. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  /** Show the panel. What it shows is marked as seen. */
  open(): void;
  /** Hide the panel; the focus returns to the button if it was inside. */
  close(): void;

  addEventListener<K extends keyof PNSBellEvents>(
    type: K,
    listener: ((event: PNSBellEvents[K]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/**
 * `<pns-seen collapse-key="order:7">`: an element without looks, of bell.js and inbox.js. Once it stood in view of a
 * visible page for one second, the user's notifications with this collapse key are seen. Attribute `url`: where PNS is, as
 * of the bell. It speaks through the page's `<pns-bell>` or `<pns-inbox>`, unless it has a `url` or `headers` of its own.
 */
export interface PNSSeen extends HTMLElement {
  /** The page's login where it is no cookie, as of PNSClient. */
  headers?: PNSBell["headers"];
}

/** The attributes of `<pns-seen>`, as frameworks write them. */
export interface PNSSeenAttributes {
  "collapse-key"?: string;
  url?: string;
}

declare global {
  interface HTMLElementTagNameMap {
    "pns-bell": PNSBell;
    "pns-inbox": PNSInbox;
    "pns-seen": PNSSeen;
  }
}
