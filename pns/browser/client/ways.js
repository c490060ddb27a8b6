// Where the line lives: in a SharedWorker, in the tab that leads, or alone in a tab.
//
// Each way takes (page, fail) and returns { post, leave }; it returns nothing, throws, or calls `fail`, where it
// cannot be had.
// A way says { hail: true } when a Line begins that knows nothing of this page.

import { Calls } from "./calls.js";
import { Line } from "./line.js";
import { surroundings, version } from "./surroundings.js";

export function byWorker({ url, env, deliver }, fail) {
  if (!env.SharedWorker) return;
  const worker = new env.SharedWorker(trusted(`${url}/worker-${version}.js`), { type: "module", name: url });
  worker.onerror = fail;
  worker.port.onmessage = ({ data }) => deliver(data);
  return {
    post: (message) => worker.port.postMessage(message),
    leave() {
      worker.onerror = worker.port.onmessage = null;
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
  const abort = new AbortController();
  let line;
  let release;
  const tell = (down) => {
    channel.postMessage({ down });
    deliver(down);
  };
  channel.onmessage = ({ data: { up, down } }) => (down ? deliver(down) : line?.receive(up));
  const lead = () =>
    new Promise((resolve) => {
      release = resolve;
      line = new Line(page, tell);
      tell({ hail: true });
    });
  env.locks.request(name, { signal: abort.signal }, lead).catch(() => abort.signal.aborted || fail());
  return {
    post: (up) => (line ? line.receive(up) : channel.postMessage({ up })),
    leave() {
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
  const url = new URL(".", scope.location.href).href.replace(/\/$/, "");
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
