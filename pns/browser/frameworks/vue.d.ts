import type { ShallowRef } from "vue";
import type { PNSInbox, PNSOptions } from "./shared.js";

export type { PNSInbox, PNSOptions };

/**
 * The inbox at `url`, "/pns" by default: where PNS is mounted. To be called in `setup`. All components of a page share one
 * client, which connects with the first and disconnects with the last.
 */
export function usePNS(url?: string, options?: PNSOptions): Readonly<ShallowRef<PNSInbox>>;
