import type { PNSClient } from "./client.js";

export type Channel = "inbox" | "push" | "webhook";

/** One category, as this user wants it: each channel is on or off. */
export interface Preference {
  readonly category: string;
  readonly title: string;
  readonly description: string;
  readonly inbox: boolean;
  readonly push: boolean;
  readonly webhook: boolean;
  /** The channels that no user can turn off. */
  readonly required: readonly Channel[];
}

/** What to turn on or off, by category; all that is not named stays. */
export type PreferenceChanges = Readonly<Record<string, Partial<Record<Channel, boolean>>>>;

/**
 * The preferences of the user whose page `client` is. Both methods reject with PNSError: `unauthorized`, `user_changed`
 * (another user logged in; nothing of either is told), `unreachable`, or the server's code, such as `category_required`
 * and `unknown_category`.
 */
export class Preferences {
  /** `headers`: the page's login where it is no cookie, as of PNSClient. */
  constructor(
    client: PNSClient,
    options?: {
      headers?: () => Record<string, string> | Promise<Record<string, string>>;
      environment?: { fetch?: typeof fetch };
    },
  );
  /** All categories that the application has declared. */
  read(): Promise<Preference[]>;
  /** Turn channels on or off; resolves with all categories as they are afterwards. */
  change(changes: PreferenceChanges): Promise<Preference[]>;
}
