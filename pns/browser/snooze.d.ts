import type { PNSClient } from "./client.js";

/** When a notification comes back. `until`: RFC 3339. */
export interface Snoozed {
  readonly id: string;
  readonly until: string;
}

/**
 * Snoozing for the user whose page `client` is. Calls are made one after the other. Both `until` and `back` reject with
 * PNSError: `unauthorized`, `user_changed` (another user logged in; nothing was snoozed), `unreachable`, or the server's
 * code, such as `unknown_notification`; `invalid` for a date more than 400 days ahead, and from PNS of a release before
 * 0.5.0.
 */
export class Snooze {
  /** `headers`: the page's login where it is no cookie, as of PNSClient. */
  constructor(
    client: PNSClient,
    options?: {
      headers?: () => Record<string, string> | Promise<Record<string, string>>;
      environment?: { fetch?: typeof fetch };
    },
  );
  /** Whether this PNS snoozes: one of a release before 0.5.0 does not. Rejects where that cannot be said. */
  isKnown(): Promise<boolean>;
  /** Take a notification away from all devices until then. Snoozed again, the later call counts. */
  until(id: string, date: Date): Promise<Snoozed>;
  /** Bring a snoozed notification back at once: it is unseen. */
  back(id: string): Promise<Snoozed>;
}

/**
 * When something may come back, by the time zone of the browser: in an hour, tomorrow at nine, and on the Monday of next
 * week at nine; on a Sunday that is the Monday after tomorrow's.
 */
export function snoozeTimes(now?: Date): { readonly hour: Date; readonly tomorrow: Date; readonly week: Date };
