import type { WebPush } from "./push.js";
import type { Frame, PNSClient, SeenNotification, State, UnseenNotification } from "./client.js";

/** The version of PNS that this file belongs to. */
export const version: string;

/** What the data says by the convention; a plain string is a title. Missing or unsafe members are "". */
export interface Content {
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
}

/**
 * `<pns-bell>`. Attributes: `url` (or `src`), `max`, `theme` ("light", "dark"), `sound` (an address),
 * `title-badge`, `app-badge`, `toast`, `push`, `push-worker` (an address), `frames`, and `text-…` for its words.
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

declare global {
  interface HTMLElementTagNameMap {
    "pns-bell": PNSBell;
  }
}
