// Web Push as a page in TypeScript uses it: compiled, never run.

import type { PNSBell } from "../../pns/browser/bell.js";
import { WebPush, type PushClick, type PushState } from "../../pns/browser/push.js";

const push = new WebPush("/pns", { worker: "/my-worker.js", title: "News", environment: { origin: "https://shop.test" } });
const words: string[] = [push.url, push.problem, push.state];

push.addEventListener("state", ({ detail }) => words.push(detail satisfies PushState));
push.addEventListener("click", (event) => {
  event.preventDefault();
  const { id, url, when }: PushClick = event.detail;
  words.push(id, url, when.toFixed());
});

async function turn(bell: PNSBell): Promise<PushState> {
  await bell.webPush?.pause();
  await push.dismiss(new Set(["id"]));
  return (await push.start()) === "on" ? push.disable() : push.enable();
}

// @ts-expect-error: only the user decides
push.state = "on";
// @ts-expect-error: there is no such option
new WebPush("/pns", { key: "" });
void turn;
