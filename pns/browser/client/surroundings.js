// The times that all parts of the client keep, what a page shows before it knows anything, and the browser itself.

export const version = "0.5.0";

export const SECOND = 1000;
export const REQUEST_MS = 30 * SECOND; // an answer that takes longer is given up
export const OPENING_MS = 10 * SECOND; // so is a connection that says nothing at first
export const PULSE_MS = 1.5 * SECOND; // a line that lives answers its pages sooner; two such silences, and it is dead
export const QUIET_MS = 60 * SECOND; // a page asks a line that says nothing, so that no silence is longer than this
export const SOCKET_AGAIN_MS = 300 * SECOND; // how long an event stream is kept before WebSocket is tried again
export const HELD_MS = 20 * SECOND; // a connection that held as long had no trouble: the next wait is short
export const LOOK_MS = 10 * SECOND; // a page that is looked at again asks again, but not sooner than this
export const CALM_MS = 60 * SECOND; // as long without a change of user, and the next one is followed at once
export const FIRST_BOUND_MS = SECOND / 2;
export const LAST_BOUND_MS = 20 * SECOND;
export const LONG_WAIT = 6; // doublings from the first bound to the last
export const KNOWN_IDS = 5000;

export const START = {
  count: 0,
  counts: null,
  userId: "",
  state: "connecting",
  retryAt: null,
  problem: "",
  notBefore: 0,
};

/** The browser, with `given` in place of parts of it: tests give their own. */
export function surroundings(given) {
  const scope = globalThis;
  const own = (name) => (...call) => scope[name](...call);
  return {
    fetch: own("fetch"),
    WebSocket: scope.WebSocket,
    EventSource: scope.EventSource,
    SharedWorker: scope.SharedWorker,
    BroadcastChannel: scope.BroadcastChannel,
    locks: scope.navigator?.locks,
    window: scope.document && scope,
    document: scope.document,
    location: scope.location,
    storage: () => scope.sessionStorage,
    warn: (text) => scope.console.warn(text),
    setTimeout: own("setTimeout"),
    clearTimeout: own("clearTimeout"),
    now: Date.now,
    random: Math.random,
    ...given,
  };
}

/** The longest wait after so many failures in a row: a draw below it spreads the pages. */
export const boundOf = (failures) => Math.min(LAST_BOUND_MS, FIRST_BOUND_MS * 2 ** failures);

export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
