import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestWorkflowEnvironment } from "@temporalio/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { clockWorkflowId, erasureWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import { readReceipts, verifyReceipts } from "../warehouse/receipts.ts";
import { answerChallenge, makeChallenge } from "../warehouse/requests/identity.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { CANARY, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { addSearchAttributes, openPipeline, silenceWorkers, type Pipeline } from "./pipeline.ts";
import { receiveHttp } from "./receivers.ts";
import { startTimeSkipping } from "./time-skipping.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let directory: string;
let time: TestWorkflowEnvironment;
let pipeline: Pipeline;
let channel: Awaited<ReturnType<typeof receiveHttp>>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-clocks-"));
  channel = await receiveHttp();
  await writeErasureProject(directory);
  const file = join(directory, "miette.yaml");
  const notify = `notify:\n  webhook: { url: "${channel.url}", secret: "\${HOOK_SECRET}" }\n`;
  await writeFile(file, (await readFile(file, "utf8")) + notify);
  await writeRows(directory, shopRows());
  silenceWorkers();
  time = await startTimeSkipping();
  await addSearchAttributes(time.connection, time.namespace ?? "default");
  const secret = `whsec_${Buffer.from("a secret of 32 bytes, for a test").toString("base64")}`;
  pipeline = await openPipeline(directory, { HOOK_SECRET: secret }, undefined, {
    temporal: { address: time.address, namespace: time.namespace ?? "default" },
  });
  await pipeline.run();
});
afterAll(async () => {
  await pipeline.close();
  await time.teardown();
  await channel.close();
  await rm(directory, { recursive: true });
});

/** Lets time pass until shortly before or after a moment. */
async function passUntil(at: string | number, offset: number): Promise<void> {
  const moment = typeof at === "number" ? at : Date.parse(at);
  await time.sleep(Math.max(1, moment + offset - (await time.currentTimeMs())));
}

async function receive(receivedAt: string, jurisdiction: string, isExtended = false): Promise<string> {
  const requestId = randomUUID();
  await pipeline.pool.query(
    "insert into privacy.requests (request_id, kind, channel, jurisdiction, received_at) values ($1, 'access', 'cli', $2, $3)",
    [requestId, jurisdiction, receivedAt],
  );
  if (isExtended) {
    await pipeline.pool.query(
      "insert into privacy.request_events (request_id, actor, event) values ($1, 'test', 'extended')",
      [requestId],
    );
  }
  await pipeline.client.workflow.start("watchClock", {
    workflowId: clockWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId }],
  });
  return requestId;
}

/** What the project's channel was told of a request, oldest first. */
function toldOf(requestId: string): string[] {
  return channel.received
    .map(({ body }) => JSON.parse(body.toString()) as { data: { subject: string; state: string; code: string } })
    .filter(({ data }) => data.subject.endsWith(requestId))
    .map(({ data }) => `${data.subject.split(":")[0]} ${data.state} ${data.code}`);
}
const expectTold = (requestId: string, told: string[]) =>
  expect.poll(() => toldOf(requestId), { timeout: 20_000 }).toEqual(told);
const stateOf = async (requestId: string): Promise<string> =>
  (await pipeline.pool.query("select state from privacy.requests where request_id = $1", [requestId])).rows[0].state;
const expectState = (requestId: string, state: string) =>
  expect.poll(() => stateOf(requestId), { timeout: 60_000 }).toBe(state);

async function ask(channelName: string, notBefore: Date | null = null): Promise<string> {
  const { requestId } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
    kind: "erasure",
    channel: channelName,
    jurisdiction: "EU",
    notBefore,
    named: { emails: [CANARY.email], phones: [], ids: [] },
    actor: "test",
  });
  return requestId;
}
const start = (requestId: string, approvedBy: string | null) =>
  pipeline.client.workflow.start("eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy }],
  });

test("an identity that nobody shows in two weeks lets the request expire, and one that is shown in time lets it go on", async () => {
  const [silent, shown] = [await ask("api"), await ask("api")];
  const [waiting, going] = [await start(silent, null), await start(shown, null)];
  const codes = "select codes from privacy.identity_checks where request_id = $1";
  await expect.poll(async () => (await pipeline.pool.query(codes, [shown])).rowCount, { timeout: 20_000 }).toBe(1);
  const code = await makeChallenge(pipeline.pool, shown, "test");
  expect(await answerChallenge(pipeline.pool, silent, code, "api")).toBe(false);
  expect(await answerChallenge(pipeline.pool, shown, code, "api")).toBe(true);
  expect(await answerChallenge(pipeline.pool, shown, code, "api")).toBe(false);
  // The signal is lost: what was shown in time counts all the same.
  await time.sleep(13 * DAY);
  expect(await stateOf(silent)).toBe("received");
  await time.sleep(2 * DAY);
  expect(await waiting.result()).toMatchObject({ state: "expired", receipt: null });
  await expectState(shown, "planned");
  await going.signal("cancel", "test");
  expect(await going.result()).toMatchObject({ state: "cancelled" });
  const { rows } = await pipeline.pool.query("select sealed from privacy.requests where request_id = any($1)", [
    [silent, shown],
  ]);
  expect(rows).toEqual([{ sealed: null }, { sealed: null }]);
});

test("an erasure waits for the end of its grace, and looks again after a day, the source's next full sync, and a week", async () => {
  const now = await time.currentTimeMs();
  const [kept, carried] = [
    await ask("cli", new Date(Date.now() + 2 * DAY)),
    await ask("cli", new Date(Date.now() + 2 * DAY)),
  ];
  const [cancelled, erased] = [await start(kept, "test"), await start(carried, "test")];
  await expectState(kept, "approved");
  await expectState(carried, "approved");
  await passUntil(now, 2 * DAY - HOUR);
  expect(await stateOf(carried)).toBe("approved");
  await cancelled.signal("cancel", "test");
  expect(await cancelled.result()).toMatchObject({ state: "cancelled", receipt: null });
  await passUntil(now, 2 * DAY + HOUR);
  expect(await erased.result()).toMatchObject({ state: expect.stringMatching(/^completed/) });

  const occasions = async () =>
    verifyReceipts(await readReceipts(pipeline.pool, carried)).map(({ statement }) => statement["occasion"]);
  const expectOccasions = (expected: string[]) => expect.poll(occasions, { timeout: 30_000 }).toEqual(expected);
  await time.sleep(23 * HOUR);
  expect(await occasions()).toEqual(["erasure"]);
  await time.sleep(2 * HOUR);
  await expectOccasions(["erasure", "after 24 hours"]);
  await pipeline.sync({ source: "shop", full: true });
  await time.sleep(DAY);
  await expectOccasions(["erasure", "after 24 hours", "after a full sync of shop"]);
  await time.sleep(6 * DAY);
  await expectOccasions(["erasure", "after 24 hours", "after a full sync of shop", "after 7 days"]);
  const scope = "select scope from privacy.requests where request_id = $1";
  await expect.poll(async () => (await pipeline.pool.query(scope, [carried])).rows[0].scope).toBeNull();
});

test("clocks warn and escalate to the minute: 31 January, a leap day, 10 business days, 45 and 90 days", async () => {
  const warned = ["request warning due", "request warning due_soon", "request warning due_now"];
  // The project's days are UTC's. Received on the last of January, due with the last of February; 2028 has a leap day.
  const shortest = await receive("2027-01-31T10:00:00Z", "EU");
  const leap = await receive("2028-01-31T10:00:00Z", "EU");
  const california = await receive("2027-03-01T10:00:00Z", "US-CA");
  const extended = await receive("2027-03-01T10:00:00Z", "US-CA", true);
  await passUntil("2027-02-28T23:59:59.999Z", -60_000);
  await expectTold(shortest, warned);
  await passUntil("2027-02-28T23:59:59.999Z", 60_000);
  await expectTold(shortest, [...warned, "request error overdue"]);

  // 10 business days after Monday, 1 March end with Monday the 15th.
  await passUntil("2027-03-15T23:59:59.999Z", -60_000);
  await expect.poll(() => toldOf(california), { timeout: 20_000 }).toContain("confirmation warning due");
  expect(toldOf(california)).not.toContain("confirmation error overdue");
  await passUntil("2027-03-15T23:59:59.999Z", 60_000);
  await expect.poll(() => toldOf(california), { timeout: 20_000 }).toContain("confirmation error overdue");
  await pipeline.pool.query(
    "insert into privacy.request_events (request_id, actor, event) values ($1, 'test', 'confirmed')",
    [california],
  );
  await passUntil("2027-04-15T23:59:59.999Z", -60_000);
  expect(toldOf(california)).not.toContain("request error overdue");
  await passUntil("2027-04-15T23:59:59.999Z", 60_000);
  await expect.poll(() => toldOf(california), { timeout: 20_000 }).toContain("request error overdue");
  expect(toldOf(california)).toContain("confirmation ok overdue");
  await passUntil("2027-05-30T23:59:59.999Z", -60_000);
  expect(toldOf(extended)).not.toContain("request error overdue");
  await passUntil("2027-05-30T23:59:59.999Z", 60_000);
  await expect.poll(() => toldOf(extended), { timeout: 20_000 }).toContain("request error overdue");

  await pipeline.pool.query("update privacy.requests set state = 'completed' where request_id = any($1)", [
    [shortest, california, extended],
  ]);
  await passUntil("2028-02-29T23:59:59.999Z", -60_000);
  await expectTold(leap, warned);
  await passUntil("2028-02-29T23:59:59.999Z", 60_000);
  await expectTold(leap, [...warned, "request error overdue"]);
  await pipeline.pool.query("update privacy.requests set state = 'refused' where request_id = $1", [leap]);
  await time.sleep(DAY);
  for (const each of [shortest, california, extended, leap]) {
    await pipeline.client.workflow.getHandle(clockWorkflowId(each)).result();
    expect(toldOf(each).at(-1)).toBe("request ok overdue");
  }
});
