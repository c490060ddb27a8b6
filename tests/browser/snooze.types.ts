// Snoozing as a page in TypeScript uses it: compiled, never run.

import { PNSClient } from "../../pns/browser/client.js";
import { Snooze, snoozeTimes } from "../../pns/browser/snooze.js";

const snooze = new Snooze(new PNSClient("/pns"), { headers: async () => ({ authorization: "Bearer …" }) });
const until: string[] = [];

async function tomorrow(id: string): Promise<void> {
  if (await snooze.isKnown()) until.push((await snooze.until(id, snoozeTimes().tomorrow)).until);
  await snooze.back(id);
}

// @ts-expect-error: a date, and no text
void snooze.until("order-7", "2026-12-01T09:00:00Z");
void tomorrow("order-7");
