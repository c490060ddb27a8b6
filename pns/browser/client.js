// The headless client: a user's inbox, live, over one connection for all tabs of the browser.
//
// A page loads one file: PNS joins this file with the parts in client/ when PNS starts (pns/web/browser.py). A
// bundler takes this file as it is. The join demands that each import of a part is one line of the form used here,
// and that no two parts have a name in common.
//
// A Line keeps the connection, alone in a tab, in the tab that leads, or in a SharedWorker. A PNSClient is a
// page's side of it. They talk in plain messages, so that it makes no difference where the Line lives.
// A page asks PNS by itself for whom its cookies speak, and shows nothing of a line that is another user's.
// Nothing here touches the DOM or shows anything; client.d.ts says what a page may rely on.

export { version } from "./client/surroundings.js";
export { serve, trusted } from "./client/ways.js";
export { PNSClient, PNSError } from "./client/page.js";
