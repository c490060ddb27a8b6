// What one item of the bell says and does, without a page: its marks, its buttons, the title of a group.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document = { baseURI: "https://host.test/shop/" };
globalThis.location = new URL("https://host.test/shop/");
const { actionsOf } = await import("../../pns/browser/panel/actions.js");
const { groupTitle } = await import("../../pns/browser/panel/group.js");
const { Marks, unarchiving } = await import("../../pns/browser/panel/marks.js");
const { Source } = await import("../../pns/browser/panel/source.js");

const DATE = "2026-01-01T00:00:00Z";

test("what is asked shows at once, and is kept or taken back by the answer", () => {
  const marks = new Marks({});
  assert.deepEqual(marks.shown, { read: false, archived: false });
  marks.ask("archived");
  assert.deepEqual(marks.shown, { read: true, archived: true });
  marks.ask("unread");
  assert.deepEqual(marks.shown, { read: false, archived: false });
  marks.answered("archived", true);
  assert.deepEqual(marks.shown, { read: false, archived: false }, "the later one is still on its way");
  marks.answered("unread", false);
  assert.deepEqual(marks.shown, { read: true, archived: true }, "it was refused");
  assert.equal(marks.isAsked, false);
});

test("the server's word is below what is on its way, whatever comes first", () => {
  const marks = new Marks({ read_date: DATE });
  marks.ask("unread");
  marks.take({ read_date: DATE, archived_date: DATE });
  assert.deepEqual(marks.shown, { read: false, archived: false });
  marks.answered("unread", true);
  assert.deepEqual(marks.shown, { read: false, archived: false });
  marks.take({ read_date: DATE });
  assert.deepEqual(marks.shown, { read: true, archived: false });
});

test("what brings something back leaves it as it was", () => {
  for (const [item, as] of [[{}, "unread"], [{ read_date: DATE }, "unarchived"]]) {
    const marks = new Marks(item);
    const before = marks.shown;
    for (const each of ["archived", unarchiving(before)]) {
      marks.ask(each);
      marks.answered(each, true);
    }
    assert.equal(unarchiving(before), as);
    assert.deepEqual(marks.shown, before);
  }
});

const shown = (actions) => actionsOf(JSON.stringify({ title: "t", actions }));

test("a button has a label, an address that is safe, and a method that is known", () => {
  const accept = { label: "Accept", url: "/accept/7", method: "POST", style: "primary" };
  const more = { label: " More ", url: "https://elsewhere.test/x", method: "GET" };
  assert.deepEqual(shown([accept, more]), [
    { ...accept, url: "https://host.test/accept/7" },
    { label: "More", url: "https://elsewhere.test/x", method: "GET", style: "" },
  ]);
  assert.equal(shown([{ label: "x", url: "seven" }])[0].url, "https://host.test/shop/seven");
  assert.equal(shown([{ ...accept, style: "x\" onclick=" }])[0].style, "");
});

test("the first two that can be shown are shown", () => {
  const one = (label) => ({ label, url: "/x", method: "GET" });
  assert.deepEqual(shown([one("a"), null, one("b"), one("c")]).map(({ label }) => label), ["a", "b"]);
});

test("whatever is of a bad shape is passed over", () => {
  const good = { label: "x", url: "/x", method: "POST" };
  const bad = [
    ...[null, 7, "x", [], {}, [[]], [good]],
    ...["", " ", 7, null, {}].map((label) => ({ ...good, label })),
    ...["", 7, null, {}, "http://["].map((url) => ({ ...good, url })),
    ...["post", "DELETE", "PUT", 7, null, {}].map((method) => ({ ...good, method })),
    ...["javascript:alert(1)", "JaVaScRiPt:1", "data:text/html,x", "blob:https://host.test/1", "file:///x", "mailto:a@b"]
      .flatMap((url) => ["GET", "POST"].map((method) => ({ ...good, url, method }))),
    ...["https://elsewhere.test/x", "//elsewhere.test/x", "http://host.test/x", "https://host.test:444/x"]
      .map((url) => ({ ...good, url })),
  ];
  for (const each of bad) assert.deepEqual(shown([each]), [], JSON.stringify(each));
  for (const each of [null, 7, "x", {}, { 0: good, length: 1 }]) assert.deepEqual(shown(each), []);
  assert.deepEqual(actionsOf("plain text"), []);
  assert.deepEqual(actionsOf("[]"), []);
});

const OTHERS = { en: ["other", "others"], pl: ["inna osoba", "inne osoby", "innych osób"] };
const others = (n, more) => `${n}${more ? "+" : ""} ${OTHERS.en[n === 1 ? 0 : 1]}`;
const member = (name) => ({ member: "m", data: JSON.stringify({ name }) });
const title = (group_title, members, names, rest = {}, lang = "en", word = others) =>
  groupTitle(
    { notification_data: JSON.stringify({ title: "t", group_title }), group: { times: 99, members, latest: names.map(member), ...rest } },
    lang,
    word,
  )?.map(({ text }) => text).join("") ?? null;

test("names and the number of the others, in the page's language", () => {
  const both = "{names} and {others} like your picture";
  assert.equal(title(both, 4, ["Ann"]), "Ann and 3 others like your picture");
  assert.equal(title(both, 2, ["Ann", "Bob"]), "Ann and 1 other like your picture");
  assert.equal(title(both, 41, ["Ann", "Bob", "Cy"]), "Ann, Bob and 39 others like your picture");
  assert.equal(title(both, 1000, ["Ann"], { more: true }), "Ann and 999+ others like your picture");
  const names = "{names} like this";
  assert.equal(title(names, 2, ["Ann", "Bob"]), "Ann and Bob like this");
  assert.equal(title(names, 3, ["Ann", "Bob", "Cy"]), "Ann, Bob, and Cy like this");
  assert.equal(title(names, 41, ["Ann", "Bob", "Cy"]), "Ann, Bob, Cy, and 38 others like this");
  assert.equal(title(names, 3, ["Ann", "Bob", "Cy"], {}, "de"), "Ann, Bob und Cy like this");
  assert.equal(title("{names} und {others}", 9, ["Ann", "Bob", "Cy"], {}, "de"), "Ann, Bob und 7 others");
  assert.equal(title("{names} و{others}", 9, ["Ann", "Bob"], {}, "ar"), "Ann وBob و7 others");
  assert.equal(title("{others} like this", 5, ["Ann"]), "5 others like this");
  assert.equal(title("New likes", 5, ["Ann"]), "New likes");
  assert.equal(title("{names}: {names}", 2, ["Ann", "Bob"]), "Ann and Bob: Ann and Bob");
});

test("the title of its own stands while there is one member, and where nobody has a name", () => {
  const both = "{names} and {others}";
  assert.equal(title(both, 1, ["Ann"]), null);
  assert.equal(title(both, 5, []), null);
  assert.equal(title(both, 5, ["", "  "]), null);
  assert.equal(title(both, 5, [7, null, {}]), null);
  assert.equal(title("", 5, ["Ann"]), null);
  assert.equal(title(7, 5, ["Ann"]), null);
  for (const group of [undefined, null, 7, {}, { members: "5" }, { members: 5, latest: 7 }, { members: 5, latest: [null, 7, { data: 7 }, { data: "{" }] }]) {
    const data = JSON.stringify({ title: "t", group_title: both });
    assert.equal(groupTitle({ notification_data: data, group }, "en", others), null, JSON.stringify(group));
  }
});

test("a name stays a name, whatever is in it", () => {
  assert.equal(title("{names} and {others}", 2, ["{others}"]), "{others} and 1 other");
  assert.equal(title("{names} and {others}", 2, ["$&"]), "$& and 1 other");
  const group = { members: 2, latest: [member("<b>Ann</b>"), member("Bob")] };
  const pieces = groupTitle({ notification_data: JSON.stringify({ group_title: "{names} like it" }), group }, "en", others);
  assert.deepEqual(pieces.filter(({ name }) => name).map(({ text }) => text), ["<b>Ann</b>", "Bob"]);
  assert.ok(title("{names} and {others}", 2, ["x".repeat(500)]).length < 120);
});

/** What a list asks of a client whose inbox is `inbox`, newest first. */
function sourceOf(asked, { inbox = [], knowsMarks = true, cut = Infinity } = {}) {
  const log = [];
  const client = {
    count: 0,
    async seen(wish) {
      log.push(wish);
      if (!knowsMarks && "archived" in wish) throw Object.assign(new Error(), { code: "bad_request" });
      const from = wish.before ? inbox.indexOf(wish.before) + 1 : 0;
      return inbox.slice(from, from + Math.min(wish.limit, cut)).map((id) => ({ notification_id: id }));
    },
    async unseen(wish) { log.push(wish); return []; },
    async mark(wish) { log.push(wish); },
    async markSeen(upTo) { log.push(upTo); },
  };
  return { source: new Source({ client }, asked), log };
}

const ids = (count) => Array.from({ length: count }, (_, number) => `n${number}`);

test("a page is full or the end, however the server cuts it", async () => {
  for (const cut of [1, 7, 19, 20, Infinity]) {
    const { source } = sourceOf({}, { inbox: ids(45), cut });
    const first = await source.page("");
    assert.deepEqual([first.items.length, first.next], [20, "n19"]);
    const second = await source.page(first.next);
    const third = await source.page(second.next);
    assert.deepEqual([third.items.length, third.next], [5, null]);
    assert.equal((await source.page("", 33)).items.length, 33);
  }
});

test("PNS of a release before is asked as it can be, and keeps no marks", async () => {
  const { source, log } = sourceOf({}, { inbox: ids(3), knowsMarks: false });
  assert.equal((await source.page("")).items.length, 3);
  assert.equal(source.able, false);
  log.length = 0;
  await source.page("");
  assert.ok(log.every((wish) => !("archived" in wish)));
  const now = sourceOf({}, { inbox: ids(3) });
  await now.source.page("");
  assert.deepEqual([now.source.able, now.log[0].archived], [true, false]);
});

test("a category's page is marked by its ids, fifty at a time; all others up to the newest", async () => {
  const { source, log } = sourceOf({ category: "comments" });
  await source.see(ids(120));
  assert.deepEqual(log.map(({ as, ids }) => [as, ids.length]), [["seen", 50], ["seen", 50], ["seen", 20]]);
  assert.deepEqual(source.all, { category: "comments" });
  const all = sourceOf({});
  await all.source.see(ids(120));
  assert.deepEqual(all.log, ["n119"]);
  assert.deepEqual(all.source.all, { all: true });
});

test("what is archived has nothing new, and is asked for as such", async () => {
  const { source, log } = sourceOf({ archived: true }, { inbox: ids(2) });
  assert.deepEqual(await source.unseen(), []);
  await source.page("");
  assert.equal(log[0].archived, true);
  assert.equal(source.archived, true);
});
