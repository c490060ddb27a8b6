// React's hook: the count and the client, live. On a server it has 0 and "connecting", and no line.

import { useSyncExternalStore } from "react";
import { inbox, NOTHING } from "./shared.js";

const onServer = () => NOTHING;

export function usePNS(url = "/pns", options = undefined) {
  const { subscribe, snapshot } = inbox(url, options);
  return useSyncExternalStore(subscribe, snapshot, onServer);
}
