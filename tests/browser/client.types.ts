// The client as a page in TypeScript uses it: compiled, never run.

import { PNSClient, PNSError, version, type State, type UnseenNotification } from "../../pns/browser/client.js";

const client = new PNSClient("/pns", {
  follow: true,
  headers: async () => ({ authorization: "Bearer …" }),
  environment: { random: () => 0, warn: (text) => names.push(text) },
});
const state: State = client.state;
const names: string[] = [version, client.url, client.problem, client.userId, state];

client.addEventListener("user", ({ detail }) => names.push(detail satisfies string));
client.addEventListener("count", ({ detail }) => names.push(detail.toFixed()));
client.addEventListener("counts", ({ detail }) => names.push(detail?.categories["comments"].unread.toFixed() ?? ""));
client.followCounts();
client.followCounts(["comments"]);
const unread: number | undefined = client.counts?.unread;
names.push(String(unread ?? client.counts?.version), String(client.counts?.more));
client.addEventListener("notifications", ({ detail: { items, first } }) => {
  if (!first) names.push(...items.map((item: UnseenNotification) => item.notification_data));
});
client.addEventListener("frame", ({ detail }) => names.push(detail.direction, detail.via, detail.text));

async function read(): Promise<void> {
  for await (const page of client.unseenPages({ limit: 50 })) names.push(page[0].create_date);
  const [newest] = await client.seen({ before: "", limit: 1 });
  names.push(newest.seen_date);
  for (const mark of [
    { as: "unread", ids: [newest.notification_id] },
    { as: "read", category: "comments", upTo: newest.notification_id },
    { as: "archived", all: true },
    { as: "seen", collapseKey: "order:7" },
  ] as const) names.push((await client.mark(mark)).changed.toFixed());
  const [read] = await client.seen({ archived: true, unread: false, category: "comments" });
  names.push(read.read_date ?? "", read.archived_date ?? "");
  await client.markSeen(newest.notification_id).catch((error: PNSError) => names.push(error.code));
}

// @ts-expect-error: a header is text
new PNSClient("/pns", { headers: async () => ({ authorization: 1 }) });
// @ts-expect-error: nobody sets what only the server knows
client.count = 1;
// @ts-expect-error: these are taken back by ids alone
void client.mark({ as: "unread", all: true });
// @ts-expect-error: all or one kind, not both
void client.mark({ as: "read", all: true, category: "comments" });
// @ts-expect-error: names, not one name
client.followCounts("comments");
// @ts-expect-error: there is no such option
void client.seen({ newest: true });
void read();
