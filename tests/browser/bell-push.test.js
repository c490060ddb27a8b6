// The switch: what the bell's state asks of Web Push.

import assert from "node:assert/strict";
import { test } from "node:test";

const element = () => ({ append() {}, setAttribute() {}, addEventListener() {}, classList: { add() {} } });
globalThis.document = { createElement: element, createTextNode: element, baseURI: "https://host.test/" };
Object.defineProperty(globalThis, "navigator", { value: { languages: ["en"] }, configurable: true });
const { PushSwitch } = await import("../../pns/browser/bell-push.js");

/** A switch of a bell whose state the test sets, and the calls that it makes of Web Push. */
function made() {
  const calls = [];
  const bell = { client: { url: "https://host.test/pns", userId: "ada" }, state: "connecting", count: 1, getAttribute: () => null, closest: () => null, querySelector: () => null, querySelectorAll: () => [] };
  const control = new PushSwitch(bell, { changed() {} });
  for (const name of ["check", "pause", "dismiss"]) control.push[name] = async () => calls.push(name);
  control.push.start = async () => {
    calls.push("start");
    return "on";
  };
  const turn = (state) => {
    bell.state = state;
    control.turned();
    return calls.splice(0);
  };
  return { bell, turn };
}

test("once live, Web Push starts; after each break it looks for another key", () => {
  const { turn } = made();
  assert.deepEqual(turn("connecting"), []);
  assert.deepEqual(turn("live"), ["start"]);
  assert.deepEqual(turn("live"), []);
  for (let times = 0; times < 2; times++) {
    assert.deepEqual(turn("connecting"), []);
    assert.deepEqual(turn("live"), ["check"], "PNS was away, and may have another key now");
  }
  assert.deepEqual(turn("live"), []);
});

test("another user is another start", () => {
  const { bell, turn } = made();
  turn("live");
  turn("connecting");
  bell.client.userId = "bob";
  assert.deepEqual(turn("live"), ["dismiss", "start"]);
});
