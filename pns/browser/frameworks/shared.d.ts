import type { Counts, PNSClient, PNSClientOptions, State } from "../client.js";

/** What is known of the user's inbox. The object is another one as soon as anything in it changed. */
export interface PNSInbox {
  /** Unseen notifications; 0 until known, and when logged out. */
  readonly count: number;
  readonly state: State;
  /** "" until known, and when logged out. */
  readonly userId: string;
  /** With `categories`: the numbers of unread notifications and of categories; null until known. */
  readonly counts: Counts | null;
  /** For `unseen()`, `seen()`, `mark(…)` and the rest; null on a server and before the component is mounted. */
  readonly client: PNSClient | null;
}

/** Options of the client. They are taken at the first use of an address, and shared by all that use the address. */
export interface PNSOptions extends PNSClientOptions {
  /** Follow the numbers of these categories, or with `true` of all that have something unread. */
  categories?: readonly string[] | true;
}
