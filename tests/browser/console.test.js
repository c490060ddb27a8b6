// Nothing is silent: why a page shows nothing stands in the console, once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { World, settle } from "./world.js";

const at = (address) => ({ environment: { location: new URL(address) } });

/** A world whose PNS answers POST with this text. */
function answering(status, text) {
  const world = new World();
  world.pns.fetch = async () => ({ status, headers: new Map(), text: async () => text });
  return world;
}

for (const [name, way] of [["alone", {}], ["locks", { locks: true }]]) {
  test(`${name}: a problem's detail, once for a page`, async () => {
    const world = new World();
    world.pns.refusal = { status: 403, code: "origin_not_allowed" };
    const tab = await world.tab(way);
    assert.deepEqual(world.warnings, ["PNS: no"]);
    await world.clock.advance(120_000);
    tab.client.connect();
    await settle();
    assert.deepEqual(world.warnings, ["PNS: no"]);
    await world.tab(way);
    assert.deepEqual(world.warnings, ["PNS: no", "PNS: no"]);
  });
}

test("each detail that is another", async () => {
  const world = new World();
  const tab = await world.tab();
  for (const detail of ["one", "two", "one"]) {
    const { fetch } = world.pns;
    world.pns.fetch = async () => ({ status: 422, headers: new Map(), text: async () => JSON.stringify({ detail }) });
    await tab.client.markSeen("gone").catch(() => {});
    world.pns.fetch = fetch;
  }
  assert.deepEqual(world.warnings, ["PNS: one", "PNS: two"]);
});

for (const [what, status, text] of [
  ["a page of HTML", 200, "<!doctype html>"],
  ["a 404", 404, "Not Found"],
  ["a 405 of files", 405, ""],
]) {
  test(`${what} where PNS should be: the address, and what to set`, async () => {
    const world = answering(status, text);
    const tab = await world.tab();
    assert.equal(tab.client.state, "error");
    await world.clock.advance(60_000);
    assert.equal(world.warnings.length, 1);
    assert.match(world.warnings[0], new RegExp(`POST https://host.test/pns/subscribe answered ${status}.*set "url"`));
  });
}

for (const [page, told] of [
  ["https://shop.example/", true],
  ["http://host.test/", true],
  ["https://app.host.test/", false],
  ["https://host.test:8443/", false],
]) {
  test(`a 401 to a page at ${page}: ${told ? "two sites are named" : "one site"}`, async () => {
    const world = new World();
    world.pns.userId = "";
    await world.tab(at(page));
    const named = world.warnings.filter((text) => text.includes("two sites"));
    assert.equal(named.length, told ? 1 : 0);
    if (told) assert.match(named[0], /headers/);
  });
}

for (const [page, pns, told] of [
  ["https://shop.co.uk/", "https://pns.co.uk", true],
  ["https://www.shop.co.uk/", "https://pns.shop.co.uk", false],
  ["http://localhost:5000/", "http://127.0.0.1:8080", true],
  ["http://127.0.0.1:5000/", "http://127.0.0.1:8080/pns", false],
  ["http://localhost:5000/", "http://localhost:8080", false],
]) {
  test(`${page} and ${pns} are ${told ? "two sites" : "one"}`, async () => {
    const world = answering(401, "{}");
    await world.tab({ ...at(page), url: pns });
    assert.equal(world.warnings.length, told ? 1 : 0);
  });
}

test("with headers there is no need of one site", async () => {
  const world = new World();
  await world.tab(at("https://shop.example/"), { headers: () => ({ authorization: "" }) });
  assert.deepEqual(world.warnings, ["PNS: no"]);
});

test("while all is well, nothing", async () => {
  const world = new World();
  const tab = await world.tab({ worker: true, locks: true });
  await tab.client.unseen();
  assert.deepEqual(world.warnings, []);
});
