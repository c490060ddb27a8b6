import type { PNSBell } from "./bell.js";
import type { PNSClient, State } from "./client.js";

/** The version of PNS that this file belongs to. */
export const version: string;

/**
 * `<pns-inbox>`: the panel of the bell as a part of the page. Attributes: `url` (or `src`), `tabs`, `preferences`, `theme`,
 * `csrf-header`, and `text-…` for its words. What it shows is marked as seen.
 */
export class PNSInbox extends HTMLElement {
  /** Unseen notifications; 0 until known. */
  readonly count: number;
  readonly state: State;
  /** The client that the page uses; null while it is in no document. */
  readonly client: PNSClient | null;
  /** An item as the page wants it, as of the bell. */
  render?: PNSBell["render"];
  /** The page's login where it is no cookie, as of PNSClient. Set, it connects anew. */
  headers?: PNSBell["headers"];
}
