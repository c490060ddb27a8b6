// Vue's composable: the count and the client, live. On a server it has 0 and "connecting", and no line.

import { onMounted, onUnmounted, readonly, shallowRef } from "vue";
import { inbox, NOTHING } from "./shared.js";

export function usePNS(url = "/pns", options = undefined) {
  const now = shallowRef(NOTHING);
  let leave = () => {};
  onMounted(() => {
    const { subscribe, snapshot } = inbox(url, options);
    leave = subscribe(() => (now.value = snapshot()));
    now.value = snapshot();
  });
  onUnmounted(() => leave());
  return readonly(now);
}
