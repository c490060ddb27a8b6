import type { DetailedHTMLProps, HTMLAttributes } from "react";
import type { PNSBell, PNSBellAttributes, PNSSeen, PNSSeenAttributes } from "../bell.js";
import type { PNSInbox, PNSOptions } from "./shared.js";

export type { PNSInbox, PNSOptions };

/**
 * The inbox at `url`, "/pns" by default: where PNS is mounted. All components of a page share one client, which connects
 * with the first and disconnects with the last.
 */
export function usePNS(url?: string, options?: PNSOptions): PNSInbox;

type BellElement = DetailedHTMLProps<HTMLAttributes<PNSBell>, PNSBell> & PNSBellAttributes;

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "pns-bell": BellElement;
      "pns-inbox": DetailedHTMLProps<HTMLAttributes<HTMLElement>, HTMLElement> & PNSBellAttributes;
      "pns-seen": DetailedHTMLProps<HTMLAttributes<PNSSeen>, PNSSeen> & PNSSeenAttributes;
    }
  }
}
