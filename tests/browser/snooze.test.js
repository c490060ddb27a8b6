// Snoozing: as the user whose page it is, one call after the other; and the times by the calendar of a time zone.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PNSError, Snooze, URL_, World, settle, snoozeTimes } from "./world.js";

const LATER = new Date("2026-12-01T09:00:00Z");

/** A page of alice, and what PNS is asked; `asked.answer` answers a message. */
async function page(headers) {
  const world = new World();
  const seen = [];
  const { client } = await world.tab({}, headers ? { headers } : {});
  const asked = { answer: (snoozed) => [200, { notificationSnoozed: snoozed }] };
  const fetch = async (url, { method, body, ...options }) => {
    const path = url.slice(URL_.length);
    const { snoozeNotification: snoozed } = body ? JSON.parse(body) : {};
    seen.push(snoozed ? `${snoozed.id} ${snoozed.until}` : `${method} ${path}`);
    asked.options = options;
    const user = headers ? options.headers.authorization : world.pns.who;
    const [status, said] = !user ? [401, { code: "unauthorized" }]
      : path === "/subscribe" ? [200, { user_id: user }] : await asked.answer(snoozed);
    return { ok: status === 200, status, json: async () => said };
  };
  return { world, client, seen, asked, snooze: new Snooze(client, { headers, environment: { fetch } }) };
}

const fails = (promise, code) =>
  assert.rejects(promise, (error) => error instanceof PNSError && error.code === code);

test("a notification goes until its time, and is brought back", async () => {
  const { snooze, seen } = await page();
  assert.deepEqual(await snooze.until("a", LATER), { id: "a", until: "2026-12-01T09:00:00.000Z" });
  assert.equal((await snooze.back("a")).id, "a");
  assert.deepEqual(seen, [
    "POST /subscribe",
    "a 2026-12-01T09:00:00.000Z",
    "POST /subscribe",
    "a 1970-01-01T00:00:00.000Z",
  ]);
});

test("a login that is a header", async () => {
  const { snooze, asked } = await page(async () => ({ authorization: "ann" }));
  assert.equal((await snooze.until("a", LATER)).id, "a");
  assert.equal(asked.options.credentials, "omit");
});

test("of two calls the later one counts, whatever becomes of the first", async () => {
  const { snooze, seen, asked } = await page();
  let first;
  asked.answer = () => new Promise((resolve) => { first = resolve; });
  const away = snooze.until("a", LATER);
  const back = snooze.back("a");
  await settle();
  assert.deepEqual(seen, ["POST /subscribe", "a 2026-12-01T09:00:00.000Z"]);
  asked.answer = (snoozed) => [200, { notificationSnoozed: snoozed }];
  first([503, { code: "unavailable" }]);
  await fails(away, "unavailable");
  assert.equal((await back).id, "a");
});

test("PNS of a release before knows nothing of it", async () => {
  const { snooze, asked, seen } = await page();
  for (const [status, code, known] of [[422, "unknown_notification", true], [422, "invalid", false]]) {
    asked.answer = () => [status, { code }];
    assert.equal(await snooze.isKnown(), known);
  }
  assert.ok(seen.every((line) => line.startsWith(" ")), "no notification has the id that is asked for");
  for (const code of ["rate_limited", "unavailable", undefined]) {
    asked.answer = () => [503, { code }];
    await fails(snooze.isKnown(), code ?? "unreachable");
  }
});

test("nothing of another user's, and nobody's, is snoozed", async () => {
  const { world, client, snooze, seen } = await page();
  world.pns.userId = "bob";
  await fails(snooze.until("a", LATER), "user_changed");
  assert.deepEqual(seen, ["POST /subscribe"]);
  await settle();
  assert.equal(client.userId, "bob");
  world.pns.userId = "";
  await fails(snooze.until("a", LATER), "unauthorized");
  await settle();
  await fails(snooze.back("a"), "unauthorized");
});

/** The times of `now`, both as the clocks of `zone` show them. */
function times(zone, now) {
  const before = process.env.TZ;
  process.env.TZ = zone;
  try {
    const shown = (date) => `${date.toDateString().slice(0, 10)} ${date.toTimeString().slice(0, 5)}`;
    return Object.values(snoozeTimes(new Date(now))).map(shown);
  } finally {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  }
}

for (const [what, zone, now, hour, tomorrow, week] of [
  ["a Monday", "Europe/Vienna", "2026-11-30T10:41", "Mon Nov 30 11:41", "Tue Dec 01 09:00", "Mon Dec 07 09:00"],
  ["just before nine", "Europe/Vienna", "2026-12-02T08:59", "Wed Dec 02 09:59", "Thu Dec 03 09:00", "Mon Dec 07 09:00"],
  ["just after midnight", "Asia/Tokyo", "2026-12-03T00:01", "Thu Dec 03 01:01", "Fri Dec 04 09:00", "Mon Dec 07 09:00"],
  ["just before midnight", "Asia/Tokyo", "2026-12-03T23:30", "Fri Dec 04 00:30", "Fri Dec 04 09:00", "Mon Dec 07 09:00"],
  ["a Friday", "America/New_York", "2026-12-04T18:00", "Fri Dec 04 19:00", "Sat Dec 05 09:00", "Mon Dec 07 09:00"],
  ["a Saturday", "America/New_York", "2026-12-05T18:00", "Sat Dec 05 19:00", "Sun Dec 06 09:00", "Mon Dec 07 09:00"],
  ["a Sunday", "America/New_York", "2026-12-06T18:00", "Sun Dec 06 19:00", "Mon Dec 07 09:00", "Mon Dec 14 09:00"],
  ["the end of a month", "UTC", "2026-04-30T12:00", "Thu Apr 30 13:00", "Fri May 01 09:00", "Mon May 04 09:00"],
  ["the end of a short month", "UTC", "2028-02-28T12:00", "Mon Feb 28 13:00", "Tue Feb 29 09:00", "Mon Mar 06 09:00"],
  ["the end of a year", "UTC", "2026-12-31T23:59", "Fri Jan 01 00:59", "Fri Jan 01 09:00", "Mon Jan 04 09:00"],
  ["before the longer day", "Europe/Vienna", "2026-10-24T10:00", "Sat Oct 24 11:00", "Sun Oct 25 09:00", "Mon Oct 26 09:00"],
  ["before the shorter day", "Europe/Vienna", "2026-03-28T10:00", "Sat Mar 28 11:00", "Sun Mar 29 09:00", "Mon Mar 30 09:00"],
  ["over the change", "America/New_York", "2026-10-30T10:00", "Fri Oct 30 11:00", "Sat Oct 31 09:00", "Mon Nov 02 09:00"],
  ["into the hour that is not", "Europe/Vienna", "2026-03-29T01:30", "Sun Mar 29 03:30", "Mon Mar 30 09:00", "Mon Apr 06 09:00"],
  ["half an hour of change", "Australia/Lord_Howe", "2026-10-03T09:00", "Sat Oct 03 10:00", "Sun Oct 04 09:00", "Mon Oct 05 09:00"],
  ["odd minutes", "Asia/Kathmandu", "2026-12-01T20:00", "Tue Dec 01 21:00", "Wed Dec 02 09:00", "Mon Dec 07 09:00"],
  ["a day that the calendar left out", "Pacific/Apia", "2011-12-29T12:00", "Thu Dec 29 13:00", "Sat Dec 31 09:00", "Mon Jan 02 09:00"],
]) {
  test(`when it comes back: ${what}, ${zone}`, () => {
    assert.deepEqual(times(zone, now), [hour, tomorrow, week]);
  });
}

test("an hour is an hour also where the clocks go back", () => {
  for (const now of ["2026-10-25T00:30:00Z", "2026-10-25T00:59:59Z", "2026-03-29T00:30:00Z"].map((text) => new Date(text))) {
    assert.equal(snoozeTimes(now).hour - now, 3_600_000);
  }
});

test("every minute of two years has three times to come, the first the nearest", () => {
  const before = process.env.TZ;
  for (const zone of ["America/Sao_Paulo", "Europe/London", "Australia/Lord_Howe", "Africa/Cairo"]) {
    process.env.TZ = zone;
    for (let now = Date.UTC(2026, 0, 1); now < Date.UTC(2028, 0, 1); now += 7_777_000) {
      const { hour, tomorrow, week } = snoozeTimes(new Date(now));
      assert.ok(now < hour && now < tomorrow && tomorrow < week, `${zone} ${new Date(now)}`);
      assert.deepEqual([tomorrow.getHours(), week.getHours(), week.getDay()], [9, 9, 1]);
      assert.ok(week - now < 8.5 * 86_400_000);
    }
  }
  if (before === undefined) delete process.env.TZ;
  else process.env.TZ = before;
});
