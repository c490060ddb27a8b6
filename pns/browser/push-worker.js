// The service worker of Web Push: shows what PNS pushes to this browser, and opens what is clicked.
//
// A classic script, which a page of another origin than PNS's may take in by importScripts. Its address says the
// rest: `?pns=` is where PNS is, if not where this file came from, `?title=` the title of what has none. Whatever
// arrives, nothing here throws: a browser that sees no notification for a push shows one of its own, or ends it.

"use strict";

(() => {
  const ANSWER_MS = 300; // pages that say nothing are not waited for: a click is good for few seconds

  const here = new URL(self.location.href);
  const pns = (here.searchParams.get("pns") ?? new URL(".", here).href).replace(/\/+$/, "");
  const untitled = here.searchParams.get("title") || "New notification";

  let last = Promise.resolve();

  self.addEventListener("push", (event) => {
    // One after the other: Chromium loses what it is about to show when it is asked what is shown. And what is
    // dismissed may have come just before.
    last = last.then(() => receive(event));
    event.waitUntil(last);
  });
  self.addEventListener("notificationclick", (event) => {
    event.notification.close();
    event.waitUntil(open(event.notification));
  });
  self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

  // ── a push ────────────────────────────────────────────────────────────────────────────────────────────

  async function receive(event) {
    const message = read(event);
    if (Array.isArray(message.dismissed)) await dismiss(new Set(message.dismissed));
    else await show(message);
    // A browser that proposes a notification marks the icon by itself, and may not answer the worker.
    if (!event.notification) await mark(message.badge);
  }

  /** What PNS sent, in the worker's own form, or what the browser would show of it by itself; else an empty object. */
  function read({ data, notification }) {
    try {
      const message = data.json();
      if (message && typeof message === "object") return { ...own(message.notification), ...message };
    } catch {
      // No JSON, or none for the worker.
    }
    return own(notification);
  }

  /** The declarative form in the worker's own: where both were too long, PNS left out what stands in it. */
  function own(notification) {
    const { title, body, icon, tag, data } = notification ?? {};
    const { id, url, when, untitled } = data ?? {};
    return { id, url, when, body, icon, tag, title: untitled ? "" : title };
  }

  async function show(message) {
    const text = (name) => (typeof message[name] === "string" ? message[name] : "");
    const id = text("id");
    const title = text("title") || untitled;
    const tag = text("tag") || id;
    const data = { id, url: text("url"), when: Number.isSafeInteger(message.when) ? message.when : Date.now() };
    const icon = image(text("icon"));
    // Under a tag of its own, the same one again is no news; whatever replaces another is.
    const renotify = Boolean(tag) && tag !== id;
    const options = { body: text("body"), tag, renotify, data, timestamp: data.when, ...(icon && { icon }) };
    try {
      await self.registration.showNotification(title, options);
    } catch {
      // An old browser that refuses an option, or a user who has just refused it all.
      await self.registration.showNotification(title).catch(() => {});
    }
  }

  async function dismiss(ids) {
    const shown = await self.registration.getNotifications().catch(() => []);
    for (const notification of shown) if (ids.has(notification.data?.id)) notification.close();
  }

  /** The count on the icon of an installed web app; 0 takes it away. */
  async function mark(count) {
    if (!Number.isSafeInteger(count) || count < 0) return;
    await self.navigator.setAppBadge?.(count).catch(() => {});
  }

  /** https, or the worker's own origin, as in the bell. */
  function image(text) {
    const url = parsed(text);
    return url && (url.protocol === "https:" || url.origin === here.origin) ? url.href : "";
  }

  function parsed(text) {
    try {
      return text ? new URL(text, here.origin) : null;
    } catch {
      return null;
    }
  }

  // ── a click ───────────────────────────────────────────────────────────────────────────────────────────

  /** Where it leads: to a window that is there already, if one takes it, else to a new one. */
  async function open({ data, title, body, icon }) {
    const { id = "", url = "", when = Date.now() } = data ?? {};
    const address = link(url);
    const windows = await windowsOf(address);
    const there = windows.find((window) => window.url === address?.href);
    if (there) return there.focus().catch(() => {});
    // No page is controlled by this worker, so none may be navigated by it: a page with a bell does that itself.
    const taker = await takerOf(windows, { id, url: address?.href ?? "", title, body, icon: icon ?? "", when });
    const window = taker?.window ?? (address ? undefined : windows[0]);
    if (window) await window.focus().catch(() => {});
    else await self.clients.openWindow((address ?? new URL("/", here)).href).catch(() => {});
    taker?.go();
  }

  /** http and https only; null where it leads nowhere. */
  function link(text) {
    const url = parsed(text);
    return url && /^https?:$/.test(url.protocol) ? url : null;
  }

  /** The windows of this origin, the one used last first; none of them is for another origin's address. */
  async function windowsOf(address) {
    if (address && address.origin !== here.origin) return [];
    const found = await self.clients.matchAll({ type: "window", includeUncontrolled: true }).catch(() => []);
    return found.filter(({ frameType }) => frameType !== "nested");
  }

  /** All are asked at once, and the first that is there takes it; the others hear no more of it. */
  async function takerOf(windows, click) {
    const answers = await Promise.all(windows.map((window) => ask(window, click)));
    return answers.find(Boolean);
  }

  function ask(window, click) {
    const { port1, port2 } = new MessageChannel();
    return new Promise((resolve) => {
      port1.onmessage = () => resolve({ window, go: () => port1.postMessage("go") });
      setTimeout(resolve, ANSWER_MS);
      window.postMessage({ pns, click }, [port2]);
    });
  }

  // ── a subscription that the browser has replaced ──────────────────────────────────────────────────────

  async function renew({ oldSubscription, newSubscription }) {
    try {
      const subscription = newSubscription ?? (await subscribe(oldSubscription?.options?.applicationServerKey));
      const { application_server_key: other } = await tell(subscription);
      if (!other) return;
      await subscription.unsubscribe();
      await tell(await subscribe(other));
    } catch {
      // The next page with a bell tells PNS what there is.
    }
  }

  async function tell(subscription) {
    const device = { network: "webpush", subscription, platform: "web" };
    const key = base64url(subscription.options?.applicationServerKey) || undefined;
    const silent = "userAgentData" in self.navigator;
    const answer = await register({ ...device, application_server_key: key, declarative: true, silent });
    // A PNS of before takes no more than the device.
    return (answer.status === 422 ? await register(device) : answer).json();
  }

  function register(device) {
    const headers = { "content-type": "application/json" };
    return fetch(`${pns}/devices`, { method: "POST", credentials: "include", headers, body: JSON.stringify(device) });
  }

  function base64url(buffer) {
    const text = btoa(String.fromCharCode(...new Uint8Array(buffer ?? [])));
    return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  async function subscribe(key) {
    const applicationServerKey = key ?? (await currentKey());
    return self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
  }

  async function currentKey() {
    const { networks } = await (await fetch(`${pns}/devices/networks`)).json();
    return networks.webpush.application_server_key;
  }
})();
