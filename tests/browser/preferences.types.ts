// Preferences as a page in TypeScript uses them: compiled, never run.

import { PNSClient } from "../../pns/browser/client.js";
import { Preferences, type Preference } from "../../pns/browser/preferences.js";

const preferences = new Preferences(new PNSClient("/pns"), { headers: async () => ({ authorization: "Bearer …" }) });
const names: string[] = [];

async function mute(): Promise<void> {
  const [first]: Preference[] = await preferences.read();
  if (first.push && !first.required.includes("push")) await preferences.change({ [first.category]: { push: false } });
  names.push(first.title, first.description);
}

// @ts-expect-error: there is no such channel
void preferences.change({ comments: { mail: false } });
void mute();
