// Where the line lives: in a SharedWorker, in the tab that leads, or alone in a tab.
//
// Each way takes (page, fail) and returns { post, leave }; it returns nothing, throws, or calls `fail`, where it
// cannot be had.
// A way says { hail: true } when a Line begins that knows nothing of this page. A way with `take` can begin a Line
// by itself, in place of one that says nothing.

import { Calls } from "./calls.js";
import { Line } from "./line.js";
import { surroundings, version } from "./surroundings.js";

export function byWorker({ url, env, deliver }, fail) {
  if (!env.SharedWorker) return;
  const worker = new env.SharedWorker(trusted(`${url}/worker-${version}.js`), { type: "module", name: url });
  const { port } = worker;
  worker.onerror = fail;
  port.onmessage = ({ data }) => deliver(data);
  return {
    post: (message) => port.postMessage(message),
    leave() {
      worker.onerror = port.onmessage = null;
    },
  };
}

let policy;

/** `address` as a page takes it under `require-trusted-types-for 'script'`; one policy a page, named pns. */
export function trusted(address) {
  policy ??= globalThis.trustedTypes?.createPolicy("pns", { createScriptURL: (text) => text });
  return policy?.createScriptURL(address) ?? address;
}

export function byLock(page, fail) {
  const { url, env, deliver } = page;
  if (!env.locks) return;
  const name = `pns ${version} ${url}`;
  const channel = new env.BroadcastChannel(name);
  let abort;
  let left;
  let line;
  let release;
  let term = 0; // of the tab that leads: a former one may speak once more before it knows
  const tell = (down) => {
    if (left) return;
    channel.postMessage({ down, term });
    deliver(down);
  };
  channel.onmessage = ({ data }) => {
    if (data.up) return line?.receive(data.up);
    if (line || data.term < term) return;
    term = data.term;
    deliver(data.down);
  };
  const lead = () => {
    term = Math.max(term + 1, env.now());
    line ??= new Line(page, tell);
    tell({ hail: true });
  };
  const hold = () =>
    new Promise((resolve) => {
      release = resolve;
      if (left) resolve();
      else lead();
    });
  const ask = (options) =>
    env.locks.request(name, options, hold).catch(() => {
      if (left || options.signal?.aborted) return;
      if (!line) return fail();
      // Another tab took the lock: it leads, and this one waits for its turn again.
      line.close();
      line = null;
      wait();
      deliver({ hail: true });
    });
  const wait = () => {
    abort = new AbortController();
    ask({ signal: abort.signal });
  };
  wait();
  return {
    post: (up) => (line ? line.receive(up) : channel.postMessage({ up })),
    /** Whoever leads is frozen, or busy for too long. The connection does not wait for the lock. */
    take() {
      abort.abort();
      lead();
      ask({ steal: true });
    },
    leave() {
      left = true;
      abort.abort();
      line?.close();
      channel.close();
      release?.();
    },
  };
}

export function alone(page) {
  const line = new Line(page, page.deliver);
  return { post: (message) => line.receive(message), leave: () => line.close() };
}

export function serve(scope, environment) {
  const ports = new Set();
  const url = new URL(".", scope.location.href).href.replace(/\/+$/, "");
  const env = surroundings(environment);
  const line = new Line({ url, env, calls: new Calls(url, env) }, (message) => {
    for (const port of ports) port.postMessage(message);
  });
  scope.onconnect = ({ ports: [port] }) => {
    port.onmessage = ({ data }) => {
      if (data.bye) ports.delete(port);
      else ports.add(port);
      line.receive(data);
    };
  };
}
