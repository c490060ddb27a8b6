// Preferences: asked for and changed as the user whose page it is, and as nobody else.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PNSError, Preferences, URL_, World, settle } from "./world.js";

const COMMENTS = { category: "comments", title: "Comments", inbox: true, push: true, webhook: true, required: [] };

/** A page of alice, and what PNS is asked; `calls` has each, `refuse` answers instead. */
async function page(headers) {
  const world = new World();
  const seen = [];
  const { client } = await world.tab({}, headers ? { headers } : {});
  const asked = { refuse: null, at: () => {} };
  const fetch = async (url, { method, body, ...options }) => {
    const path = url.slice(URL_.length);
    seen.push(`${method} ${path}`);
    asked.at(path, method);
    asked.options = options;
    const user = headers ? options.headers.authorization : world.pns.who;
    const answer = (status, said) => ({ ok: status === 200, status, json: async () => said });
    if (!user) return answer(401, { code: "unauthorized" });
    if (path === "/subscribe") return answer(200, { user_id: user });
    if (asked.refuse) return answer(409, asked.refuse);
    const { preferences } = body ? JSON.parse(body) : { preferences: {} };
    return answer(200, { preferences: [{ ...COMMENTS, ...preferences.comments, description: user }] });
  };
  return { world, client, seen, asked, preferences: new Preferences(client, { headers, environment: { fetch } }) };
}

const fails = (promise, code) =>
  assert.rejects(promise, (error) => error instanceof PNSError && error.code === code);

test("read, and changed", async () => {
  const { preferences, seen } = await page();
  assert.deepEqual(await preferences.read(), [{ ...COMMENTS, description: "alice" }]);
  assert.deepEqual(await preferences.change({ comments: { push: false } }), [
    { ...COMMENTS, push: false, description: "alice" },
  ]);
  // Whose the cookies are is asked before something is changed, and before something is shown.
  assert.deepEqual(seen, [
    "GET /preferences",
    "POST /subscribe",
    "POST /subscribe",
    "PATCH /preferences",
    "POST /subscribe",
  ]);
});

test("a login that is a header", async () => {
  const { preferences, asked } = await page(async () => ({ authorization: "ann" }));
  assert.deepEqual(await preferences.change({ comments: { push: false } }), [
    { ...COMMENTS, push: false, description: "ann" },
  ]);
  assert.equal(asked.options.credentials, "omit");
});

test("PNS says no", async () => {
  const { preferences, asked } = await page();
  for (const code of ["category_required", "unknown_category"]) {
    asked.refuse = { code, detail: "no" };
    await fails(preferences.change({ comments: { inbox: false } }), code);
  }
});

test("another user's are neither changed nor shown, and the page learns of the other user", async () => {
  const { world, client, preferences, seen } = await page();
  world.pns.userId = "bob";
  await fails(preferences.change({ comments: { push: false } }), "user_changed");
  assert.deepEqual(seen, ["POST /subscribe"]);
  await settle();
  assert.equal(client.userId, "bob");
});

test("nor where the other user comes while they are read", async () => {
  const { world, preferences, asked } = await page();
  asked.at = (path) => {
    if (path === "/preferences") world.pns.userId = "bob";
  };
  await fails(preferences.read(), "user_changed");
});

test("nobody is logged in, before and after PNS was asked", async () => {
  const { world, client, preferences, seen } = await page();
  world.pns.userId = "";
  await fails(preferences.read(), "unauthorized");
  await settle();
  assert.equal(client.state, "logged-out");
  const asked = seen.length;
  await fails(preferences.read(), "unauthorized");
  assert.equal(seen.length, asked, "who is logged out is not asked for");
});
