import { randomUUID } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Project } from "../../domain/project.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openAlerts, pendingDeliveries } from "../alerts.ts";
import { inTransaction } from "../database.ts";
import { watchHealth } from "../health.ts";
import { confirmReceipt, extendRequest, openClocks } from "./clocks.ts";

const project = { timeZone: "Europe/Paris", sources: [], freshness: [] } as unknown as Project;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query(`
    alter table privacy.request_events disable trigger insert_only;
    delete from privacy.request_events; delete from privacy.requests; delete from ops.alerts;
    alter table privacy.request_events enable trigger insert_only`);
});

async function receive(receivedAt: string, jurisdiction: string | null = "EU", kind = "erasure"): Promise<string> {
  const requestId = randomUUID();
  await database.pool.query(
    "insert into privacy.requests (request_id, kind, channel, jurisdiction, received_at) values ($1, $2, 'cli', $3, $4)",
    [requestId, kind, jurisdiction, receivedAt],
  );
  return requestId;
}

/** What a look at health finds at a time, as the role that looks. */
async function look(at: string): Promise<string[]> {
  const asPublisher = { connect: () => connectAs("publisher") } as unknown as pg.Pool;
  await watchHealth(asPublisher, project, new Date(at));
  return (await openAlerts(database.pool)).map(
    ({ subject, state, code }) => `${subject.split(":")[0]} ${state} ${code}`,
  );
}
async function connectAs(role: string): Promise<pg.PoolClient> {
  const client = await database.pool.connect();
  await client.query(`set role ${role}`);
  const release = client.release.bind(client);
  client.release = () => void client.query("reset role").finally(() => release());
  return client;
}
const extend = (requestId: string, toldAt: Date) =>
  extendRequest(database.pool, { requestId, reason: "complexity", toldAt, actor: "test" }, project.timeZone);
const inMonths = (months: number) => {
  const date = new Date();
  date.setUTCMonth(date.getUTCMonth() + months, 15);
  return date;
};

test("a request of the EU warns after a third, two thirds and nine tenths of its month, and is an error after its last day", async () => {
  await receive("2027-04-01T08:00:00Z");
  expect(await look("2027-04-05T00:00:00Z")).toEqual([]);
  expect(await look("2027-04-12T00:00:00Z")).toEqual(["request warning due"]);
  expect(await look("2027-04-22T00:00:00Z")).toEqual(["request warning due_soon"]);
  expect(await look("2027-04-29T00:00:00Z")).toEqual(["request warning due_now"]);
  // The end of 1 May in Paris.
  expect(await look("2027-05-01T21:59:59Z")).toEqual(["request warning due_now"]);
  expect(await look("2027-05-01T22:00:00Z")).toEqual(["request error overdue"]);
});

test("nobody looked for a month: the first look tells that it is overdue, once", async () => {
  await receive("2027-04-01T08:00:00Z");
  expect(await look("2027-06-01T00:00:00Z")).toEqual(["request error overdue"]);
  const before = await pendingDeliveries(database.pool, "shop", ["webhook"]);
  await look("2027-06-02T00:00:00Z");
  expect(await pendingDeliveries(database.pool, "shop", ["webhook"])).toEqual(before);
  expect(before).toHaveLength(1);
});

test("an answered or cancelled request worries nobody any more", async () => {
  const requestId = await receive("2027-04-01T08:00:00Z");
  await look("2027-06-01T00:00:00Z");
  await database.pool.query("update privacy.requests set state = 'completed' where request_id = $1", [requestId]);
  expect(await look("2027-06-01T00:05:00Z")).toEqual([]);
  await expect(confirmReceipt(database.pool, requestId, "test")).rejects.toThrow(/completed already/);
});

test("California's receipt has to be confirmed within ten business days, and a confirmation ends that clock alone", async () => {
  const requestId = await receive("2027-01-01T18:00:00Z", "US-CA");
  expect(await look("2027-01-12T00:00:00Z")).toEqual(["confirmation warning due"]);
  expect(await look("2027-01-16T00:00:00Z")).toContain("confirmation error overdue");
  await confirmReceipt(database.pool, requestId, "test");
  expect(await look("2027-01-20T00:00:00Z")).toEqual(["request warning due"]);
});

test("an extension moves the end only if the person was told in time, and only once", async () => {
  const late = await receive(inMonths(-3).toISOString());
  await expect(extend(late, new Date())).rejects.toThrow(/had to be told by the end of/);
  await expect(extend(late, inMonths(-5))).rejects.toThrow(/before the request came/);
  await expect(extend(late, inMonths(1))).rejects.toThrow(/lies in the future/);
  const told = inMonths(-3);
  told.setUTCDate(20);
  const due = await extend(late, told);
  const [open] = await openClocks(database.pool, project.timeZone);
  expect(open).toMatchObject({ isExtended: true, clock: { due } });
  await expect(extend(late, told)).rejects.toThrow(/extended before/);
  const { rows } = await database.pool.query(
    "select due_at, (select detail from privacy.request_events) as detail from privacy.requests",
  );
  expect(rows).toMatchObject([{ detail: { reason: "complexity", told: told.toISOString(), due: due.at } }]);
});

test("two extensions at once are one", async () => {
  const requestId = await receive(new Date().toISOString());
  const results = await Promise.allSettled([extend(requestId, new Date()), extend(requestId, new Date())]);
  expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
});

test("an opt-out can't be extended", async () => {
  const requestId = await receive(new Date().toISOString(), "US-CA", "opt_out");
  await expect(extend(requestId, new Date())).rejects.toThrow(/knows no extension/);
});

test("in the United Kingdom the month begins when the person is identified", async () => {
  const requestId = await receive("2027-03-01T12:00:00Z", "UK");
  const dueOn = async () => (await openClocks(database.pool, project.timeZone))[0]?.clock.due.day;
  expect(await dueOn()).toBe("2027-04-01");
  await database.pool.query(
    "insert into privacy.request_events (request_id, happened_at, actor, event) values ($1, '2027-03-10T12:00:00Z', 'test', 'verified')",
    [requestId],
  );
  expect(await dueOn()).toBe("2027-04-10");
});

test("whoever watches the clocks reads nothing of whom a request is about", async () => {
  for (const column of ["sealed", "scope", "subject", "plan"]) {
    const reading = inTransaction(
      database.pool,
      (client) => client.query(`select ${column} from privacy.requests`),
      "begin; set local role publisher",
    );
    await expect(reading).rejects.toThrow(/permission denied/);
  }
});
