import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadSqlTree, PACKAGE_DIRECTORY } from "../config.ts";
import { HOLDS_WORKFLOW_ID, RETENTION_WORKFLOW_ID, TASK_QUEUE } from "../domain/ids.ts";
import type { RetentionReport } from "../domain/retention.ts";
import { addHold, listHolds, releaseHold } from "../warehouse/holds/holds.ts";
import { openHeld } from "../warehouse/holds/release.ts";
import { loadProjectGraph } from "../warehouse/models/project-graph.ts";
import { readReceipts, verifyReceipts } from "../warehouse/receipts.ts";
import { CANARY, CONTROL, shopRows, writeRows, type Rows } from "./erasure-project.ts";
import type { Pipeline } from "./pipeline.ts";
import { openRights, type Rights } from "./rights-project.ts";

/** Whole days before today at noon, so that a test that runs at midnight is no day off. */
const daysAgo = (days: number, hour = "12"): string =>
  `${new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10)}T${hour}:00:00Z`;

let rights: Rights;
let pipeline: Pipeline;
let rows: Rows;
beforeAll(async () => {
  rights = await openRights();
  ({ pipeline } = rights);
  const model = join(rights.directory, "sql/models/staging/shop__events.sql");
  const text = await readFile(model, "utf8");
  await writeFile(
    model,
    text.replace("null::text as utm_campaign", "substring(url from 'utm_campaign=([-\\w]+)') as utm_campaign"),
  );
});
afterAll(() => rights.close());

const run = async (): Promise<RetentionReport> =>
  (await pipeline.client.workflow.execute("applyRetention", {
    workflowId: RETENTION_WORKFLOW_ID,
    taskQueue: TASK_QUEUE,
    args: [{ actor: "test" }],
  })) as RetentionReport;
const declare = async (rules: string): Promise<void> => {
  const file = join(rights.directory, "miette.yaml");
  const text = await readFile(file, "utf8");
  await writeFile(file, `${text.replace(/^(?:retention|holds):[^]*$/m, "")}${rules}`);
};
const CREDIT = `select credit.model, credit.channel, campaigns.campaign, credit.order_id, orders.customer_id,
    sum(credit.share)::text as share, sum(credit.amount)::text as amount
  from mart.fct_attribution as credit join mart.fct_orders as orders using (order_id)
  left join mart.dim_campaigns as campaigns on campaigns.campaign_id = credit.campaign_id
  group by 1, 2, 3, 4, 5 order by 4, 1, 2, 3`;
const numbersOf = async (): Promise<number[]> =>
  (await rights.rowsOf<{ id: string }>("select id::text from raw.shop__events where id < 10 order by id")).map(
    ({ id }) => Number(id),
  );

/** The shop with visits of a year ago, a day past and a day short of the age, before orders that they lead to. */
function yearOld(): Rows {
  const shop = shopRows();
  const url = (campaign: string): string =>
    `https://shop.test/?utm_source=google&utm_medium=cpc&utm_campaign=${campaign}`;
  const visit = (id: number, person: typeof CANARY, at: string, campaign: string, email: string | null = null) => ({
    id,
    device: person.device,
    email,
    url: url(campaign),
    at,
  });
  shop["events"] = [
    // By this one the device is known to be hers; the next stays.
    visit(1, CANARY, daysAgo(366), "spring", CANARY.email),
    visit(2, CANARY, daysAgo(364), "summer"),
    visit(3, CONTROL, daysAgo(366), "only-hers", CONTROL.email),
    // One visit that the age cuts in two, and one of today.
    visit(4, CONTROL, daysAgo(1), "today", CONTROL.email),
    ...[5, 6, 7].map((id) =>
      visit(id, { ...CANARY, device: `dev-10${id}` }, daysAgo(400), "old", `c10${id}@crowd.test`),
    ),
  ];
  shop["orders"] = (shop["orders"] ?? []).map((order) => ({
    ...order,
    ordered_at: order["email"] === CANARY.email || order["email"] === CONTROL.email ? daysAgo(360) : daysAgo(390),
  }));
  shop["orders"].push({
    id: 800,
    customer: CONTROL.id,
    email: CONTROL.email,
    gift_note: "today",
    amount: 9,
    ordered_at: daysAgo(0, "23"),
  });
  return shop;
}

test("what is past its age by a day goes with its versions, what is short of it by a day stays, credit is as it was, and no sync brings it back", async () => {
  rows = yearOld();
  await writeRows(rights.directory, rows);
  await pipeline.sync({ source: "shop", full: true });
  // An older version of a visit that goes.
  const older = rows["events"]?.map((event) =>
    event["id"] === 3 ? { ...event, url: "https://shop.test/?v=2" } : event,
  );
  await writeRows(rights.directory, { events: older ?? [] });
  await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  await writeRows(rights.directory, { events: rows["events"] ?? [] });
  await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  await rights.ask("restriction", "c105@crowd.test");
  const before = await rights.rowsOf(CREDIT);
  expect(before.some((each) => each["campaign"] === "only-hers")).toBe(true);
  expect(await rights.rowsOf("select from raw.shop__events__history where id = 3")).not.toEqual([]);
  expect(await numbersOf()).toEqual([1, 2, 3, 4, 5, 6, 7]);

  await declare(`retention:
  - { category: shop.events, keep: 365 days, from: at }
  - { category: quarantine, keep: 30 days }
`);
  await rights.rowsOf(
    `insert into ops.quarantine (source, stream, fingerprint, reason, pointer, sealed, last_seen_at)
     values ('shop', 'events', gen_random_uuid(), 'missing_key', '', '', now() - interval '31 days'),
            ('shop', 'events', gen_random_uuid(), 'missing_key', '', '', now() - interval '29 days')`,
  );
  const report = await run();

  expect(report.relations).toEqual(
    expect.arrayContaining([
      { relation: "raw.shop__events", action: "delete", rows: 4, passedOver: 1 },
      { relation: "ops.quarantine", action: "delete", rows: 1, passedOver: 0 },
    ]),
  );
  // The restricted person's visit is stored on.
  expect(await numbersOf()).toEqual([2, 4, 5]);
  expect(await rights.rowsOf("select from raw.shop__events__history where id = 3")).toEqual([]);
  expect(await rights.rowsOf("select from core.events where occurred_at < now() - interval '370 days'")).toHaveLength(
    1,
  );
  expect(
    await rights.rowsOf("select from mart.fct_events where occurred_at < now() - interval '365 days'"),
  ).toHaveLength(1);
  expect(await rights.rowsOf(CREDIT)).toEqual(before);
  const [receipt] = verifyReceipts(await readReceipts(pipeline.pool, report.runId));
  expect(receipt?.statement).toMatchObject({
    kind: "retention",
    run: report.runId,
    changed: { "raw.shop__events delete": 4 },
    passed_over: { "raw.shop__events delete": 1 },
  });

  await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  expect(await numbersOf()).toEqual([2, 4, 5]);
  expect(await rights.rowsOf(CREDIT)).toEqual(before);
  expect(
    await rights.rowsOf("select past_age::int from ops.syncs where stream = 'events' order by started_at desc limit 1"),
  ).toEqual([{ past_age: 4 }]);
  // Nothing is left to do, and a full build says the same.
  expect(await run()).toMatchObject({ receipt: null, relations: [{ rows: 0, passedOver: 1 }] });
  await pipeline.build({ full: true });
  expect(await rights.rowsOf(CREDIT)).toEqual(before);
  expect(await rights.rowsOf("select actor, action from privacy.audit where action = 'retention.run'")).toEqual([
    { actor: "test", action: "retention.run" },
    { actor: "test", action: "retention.run" },
  ]);
});

test("what a law asks to be kept outlasts age and erasure, sealed apart where nothing uses it, and its release finishes the erasure", async () => {
  await declare(`retention:
  - { category: orders, keep: 100 days, from: ordered_at }
holds:
  - { category: orders, purpose: tax, keep: 10 years, from: ordered_at, law: AO § 147(3) }
`);
  const { relations } = await run();
  expect(relations.find(({ relation }) => relation === "raw.shop__orders")).toMatchObject({ rows: 0 });
  const MONEY = `select order_id, model, channel, sum(amount)::text as amount from mart.fct_attribution group by 1, 2, 3 order by 1, 2, 3`;
  const before = await rights.rowsOf(MONEY);
  const customer = await rights.customerOf(CANARY.email);

  const { state, requestId } = await rights.ask("erasure", CANARY.email);
  expect(state).toBe("completed_with_exceptions");
  const held = [
    { relation: "raw.shop__orders", purpose: "tax", law: "AO § 147(3)", until: expect.any(String), rows: 3 },
  ];
  const [asked] = await rights.rowsOf("select plan, outcome from privacy.requests where request_id = $1", [requestId]);
  expect(asked).toMatchObject({ plan: { held }, outcome: { findings: [], unscanned: [] } });
  const [receipt] = verifyReceipts(await readReceipts(pipeline.pool, requestId));
  expect(receipt?.statement).toMatchObject({ outcome: "completed_with_exceptions", held });
  // Nothing that is used knows the person: the orders are nobody's, with their money and its credit.
  expect(
    await rights.rowsOf("select from vault.identifiers where token = $1", [
      pipeline.vault.naming.token("email", CANARY.email),
    ]),
  ).toEqual([]);
  expect(await rights.rowsOf("select from core.people where customer_id = $1", [customer])).toEqual([]);
  expect(await rights.rowsOf("select from raw.shop__reviews where id = 1")).toEqual([]);
  expect(await rights.rowsOf(MONEY)).toEqual(before);
  const kept = (await openHeld(pipeline.pool, pipeline.vault, requestId, { actor: "test", purpose: "an audit" })) as {
    fields: Record<string, unknown>;
  }[];
  expect(kept.map(({ fields }) => fields["gift_note"]).toSorted()).toEqual([
    expect.stringContaining("=HYPERLINK"),
    `for ${CANARY.name}`,
    `for ${CANARY.name}`,
  ]);
  expect(
    kept.filter(({ fields }) => fields["email"] === CANARY.email && fields["customer"] === String(CANARY.id)),
  ).toHaveLength(2);
  await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  expect(await rights.rowsOf(MONEY)).toEqual(before);

  // What her account orders later is nobody's as it lands, and is not held: the shop that sends it keeps it.
  const later = { id: 950, customer: CANARY.id, email: CANARY.email, gift_note: "later", amount: 3 };
  await appendFile(
    join(rights.directory, "data/orders.jsonl"),
    `${JSON.stringify({ ...later, ordered_at: daysAgo(1) })}\n`,
  );
  const { streams } = await pipeline.sync({ source: "shop", full: true });
  await pipeline.build();
  expect(streams.find(({ stream }) => stream === "orders")).toMatchObject({ inserted: 1 });
  expect(
    await rights.rowsOf(
      "select email, customer, sealed, owner_token, amount::float8 from raw.shop__orders where amount = 3",
    ),
  ).toEqual([{ email: null, customer: null, sealed: null, owner_token: null, amount: 3 }]);
  expect(await rights.rowsOf("select count(*)::int as rows from privacy.held_records")).toEqual([{ rows: 3 }]);
  expect(
    await rights.rowsOf(
      "select suppressed::int from ops.syncs where stream = 'orders' order by started_at desc limit 1",
    ),
  ).toEqual([{ suppressed: 1 }]);

  await rights.rowsOf("update privacy.held_records set until = now() - interval '1 day' where request_id = $1", [
    requestId,
  ]);
  await run();
  expect(await rights.rowsOf("select from privacy.held_records")).toEqual([]);
  expect(await rights.rowsOf("select from vault.keys where purpose like 'hold:%'")).toEqual([]);
  const receipts = verifyReceipts(await readReceipts(pipeline.pool, requestId));
  expect(receipts.at(-1)?.statement).toMatchObject({
    occasion: "hold released 1",
    outcome: "completed",
    records: 3,
    held: [],
  });
  expect(await rights.rowsOf("select state from privacy.requests where request_id = $1", [requestId])).toEqual([
    { state: "completed" },
  ]);
});

test("what somebody holds of one person outlasts age and erasure until it is released", async () => {
  await declare("retention:\n  - { category: shop.events, keep: 1 days, from: at }\n");
  const project = await pipeline.project();
  const graph = await loadProjectGraph(await loadSqlTree(`${PACKAGE_DIRECTORY}/sql`, rights.directory), project);
  const email = "c108@crowd.test";
  const hold = (category: string) =>
    addHold(pipeline.pool, pipeline.vault, project, graph, {
      named: { emails: [email], phones: [], ids: [] },
      category,
      purpose: "litigation",
      law: "ZPO § 142",
      until: null,
      actor: "os:anna",
    });
  await expect(hold("shop.nothing")).rejects.toThrow(/--category: is no stream and no contract/);
  const [{ holdId: events }, { holdId: orders }] = [await hold("shop.events"), await hold("orders")];
  await run();
  // Of all visits of the crowd there are those left of who is held, and of who is restricted.
  const [kept, restricted] = [email, "c105@crowd.test"].map((each) => pipeline.vault.naming.token("email", each));
  expect(
    await rights.rowsOf("select distinct email from raw.shop__events where id >= 10 and email <> $1", [restricted]),
  ).toEqual([{ email: kept }]);

  await releaseHold(pipeline.pool, events, "os:anna");
  await expect(releaseHold(pipeline.pool, events, "os:anna")).rejects.toThrow(/there is no hold of this id/);
  const { state, requestId } = await rights.ask("erasure", email);
  expect(state).toBe("completed_with_exceptions");
  expect(await rights.rowsOf("select from privacy.hold_identifiers where hold_id = $1", [orders])).toEqual([]);
  expect(await listHolds(pipeline.pool)).toMatchObject([
    { id: orders, kind: "by hand", purpose: "litigation", releasedAt: null, records: 1 },
    { id: events, records: 0 },
  ]);
  await releaseHold(pipeline.pool, orders, "os:anna");
  expect(
    await pipeline.client.workflow.execute("releaseHolds", {
      workflowId: HOLDS_WORKFLOW_ID,
      taskQueue: TASK_QUEUE,
      args: [],
    }),
  ).toEqual({ records: 1 });
  const receipts = verifyReceipts(await readReceipts(pipeline.pool, requestId));
  expect(receipts.map(({ statement }) => [statement["occasion"], statement["outcome"]])).toEqual([
    ["erasure", "completed_with_exceptions"],
    ["hold released 1", "completed"],
  ]);
  expect(
    await rights.rowsOf("select action, actor from privacy.audit where action like 'hold.%' order by happened_at"),
  ).toEqual(
    [
      ["hold.open", "test"],
      ["hold.add", "os:anna"],
      ["hold.add", "os:anna"],
      ["hold.release", "os:anna"],
      ["hold.release", "os:anna"],
    ].map(([action, actor]) => ({ action, actor })),
  );
});
