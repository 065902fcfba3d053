import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestWorkflowEnvironment } from "@temporalio/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { archiveWorkflowId, clockWorkflowId, recheckWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import type { RequestKind } from "../domain/requests.ts";
import { confirmReceipt, extendRequest, openClocks } from "../warehouse/requests/clocks.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { CANARY, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { addSearchAttributes, openPipeline, silenceWorkers, type Pipeline } from "./pipeline.ts";
import { receiveHttp } from "./receivers.ts";
import { passOver, startTimeSkipping } from "./time-skipping.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let directory: string;
let time: TestWorkflowEnvironment;
let pipeline: Pipeline;
let channel: Awaited<ReturnType<typeof receiveHttp>>;

// A server for each, since a test has one clock alone, and its time begins today.
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-law-"));
  channel = await receiveHttp();
  await writeErasureProject(directory);
  await appendFile(join(directory, "miette.yaml"), `notify:\n  webhook: { url: "${channel.url}" }\n`);
  await writeRows(directory, shopRows());
  silenceWorkers();
  time = await startTimeSkipping();
  await addSearchAttributes(time.connection, time.namespace ?? "default");
  pipeline = await openPipeline(directory, {}, undefined, {
    temporal: { address: time.address, namespace: time.namespace ?? "default" },
  });
});
afterEach(async () => {
  await pipeline.close();
  await time.teardown();
  await channel.close();
  await rm(directory, { recursive: true });
});

async function ask(kind: RequestKind, jurisdiction: string, notBefore: Date | null = null) {
  return await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
    kind,
    channel: "cli",
    jurisdiction,
    named: { emails: [CANARY.email], phones: [], ids: [] },
    notBefore,
    actor: "test",
  });
}
/** Has a request's clock run, and nothing else of it. */
async function watch(requestId: string): Promise<void> {
  await pipeline.client.workflow.start("watchClock", {
    workflowId: clockWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId }],
  });
}
/** A clock looks once more in ten days, and ends after its request: nothing that the test waits for. */
const stopClock = (requestId: string) => pipeline.client.workflow.getHandle(clockWorkflowId(requestId)).terminate();
const clockOf = async (requestId: string) =>
  (await openClocks(pipeline.pool, "UTC")).find((each) => each.requestId === requestId)!.clock;
const until = async (moment: string | number): Promise<void> =>
  time.sleep(Math.max(0, new Date(moment).getTime() - (await time.currentTimeMs())));
/** What the channel was told so far, in its order. */
const told = (): string[] =>
  channel.received.map(({ body }) => {
    const { data } = JSON.parse(body.toString("utf8")) as { data: { subject: string; state: string; code: string } };
    return `${data.subject.split(":")[0]} ${data.state} ${data.code}`;
  });
/** Lets time pass until an hour before a moment, when nobody may have been told of it, and an hour beyond. */
async function past(moment: string, lines: string[]): Promise<void> {
  const before = told();
  await until(Date.parse(moment) - HOUR);
  expect(told()).toEqual(before);
  await until(Date.parse(moment) + HOUR);
  await expect.poll(told, { timeout: 20_000 }).toEqual([...before, ...lines]);
}
const extend = (requestId: string) =>
  extendRequest(pipeline.pool, { requestId, reason: "complexity", toldAt: new Date(), actor: "test" }, "UTC");

test("a request of the EU is reminded of three times in its month, and told as late once, when its last day is over", async () => {
  const { requestId } = await ask("erasure", "EU");
  await watch(requestId);
  const { warnings, due } = await clockOf(requestId);
  await past(warnings[0]!, ["request warning due"]);
  await past(warnings[1]!, ["request warning due_soon"]);
  await past(warnings[2]!, ["request warning due_now"]);
  await past(due.at, ["request error overdue"]);
  await until(Date.parse(due.at) + 5 * DAY);
  expect(told()).toHaveLength(4);
});

test("an extension with its notice moves the end by two months, and the clock that runs already keeps to it", async () => {
  const { requestId } = await ask("access", "EU");
  await watch(requestId);
  const { warnings, due: first } = await clockOf(requestId);
  await past(warnings[0]!, ["request warning due"]);
  const later = await extend(requestId);
  expect((Date.parse(later.at) - Date.parse(first.at)) / DAY).toBeGreaterThan(58);
  const extended = await clockOf(requestId);
  expect(extended.due.at).toBe(later.at);
  // A third of three months is not over yet when a third of one is: what was told is well again.
  await past(warnings[1]!, ["request ok due"]);
  await past(extended.warnings[0]!, ["request warning due"]);
  await until(Date.parse(first.at) + HOUR);
  expect(told().some((line) => line.includes("error"))).toBe(false);
  await past(extended.warnings[1]!, ["request warning due_soon"]);
  await past(extended.warnings[2]!, ["request warning due_now"]);
  await past(later.at, ["request error overdue"]);
});

test("California's receipt is to be confirmed in ten business days, and the answer has 45 days, and 45 more with notice", async () => {
  const { requestId } = await ask("erasure", "US-CA");
  await watch(requestId);
  const received = Date.parse(new Date(await time.currentTimeMs()).toISOString().slice(0, 10));
  const { acknowledge, answer } = await clockOf(requestId);
  expect((Date.parse(answer.day) - received) / DAY).toBe(45);
  const half = (await time.currentTimeMs()) + (Date.parse(acknowledge!.at) - (await time.currentTimeMs())) / 2;
  await past(new Date(half).toISOString(), ["confirmation warning due"]);
  await past(acknowledge!.at, ["confirmation error overdue"]);
  await confirmReceipt(pipeline.pool, requestId, "test");
  await extend(requestId);
  const { due, warnings } = await clockOf(requestId);
  expect((Date.parse(due.day) - received) / DAY).toBe(90);
  // The next look is the one that was due before; it tells both.
  await until(Date.parse(warnings[0]!) + HOUR);
  await expect.poll(told, { timeout: 20_000 }).toContain("confirmation ok overdue");
  await until(Date.parse(answer.at) + HOUR);
  expect(told().slice(2)).not.toContain("request error overdue");
  await until(Date.parse(warnings[2]!) + HOUR);
  await past(due.at, ["request error overdue"]);
});

test("an erasure begins when its grace is over and not before, and is looked at again after a day, a week and a month", async () => {
  await pipeline.run();
  const { requestId, workflow } = await ask("erasure", "EU", new Date((await time.currentTimeMs()) + 2 * DAY));
  const handle = await pipeline.client.workflow.start(workflow.type, {
    workflowId: workflow.workflowId,
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: "test" }],
  });
  const state = async () =>
    (await pipeline.pool.query("select state from privacy.requests where request_id = $1", [requestId])).rows[0].state;
  await expect.poll(state, { timeout: 60_000 }).toBe("approved");
  await time.sleep(47 * HOUR);
  expect(await state()).toBe("approved");
  await time.sleep(2 * HOUR);
  expect(await handle.result()).toMatchObject({ receipt: 1 });
  await stopClock(requestId);
  const looks = async () =>
    (
      await pipeline.pool.query(
        "select detail ->> 'occasion' as occasion from privacy.request_events where request_id = $1 and event = 'recheck' order by event_id",
        [requestId],
      )
    ).rows.map(({ occasion }) => occasion as string);
  await time.sleep(23 * HOUR);
  expect(await looks()).toEqual([]);
  await time.sleep(2 * HOUR);
  await expect.poll(looks, { timeout: 20_000 }).toEqual(["after 24 hours"]);
  await time.sleep(6 * DAY);
  await expect.poll(looks, { timeout: 20_000 }).toEqual(["after 24 hours", "after 7 days"]);
  // The source is not read in full meanwhile, and is waited for no longer.
  await passOver(time, { ms: 24 * DAY, client: pipeline.client, childId: recheckWorkflowId(requestId) });
  expect(await looks()).toEqual(["after 24 hours", "after 7 days", "after 30 days"]);
  const { rows } = await pipeline.pool.query("select scope, sealed from privacy.requests where request_id = $1", [
    requestId,
  ]);
  expect(rows).toEqual([{ scope: null, sealed: null }]);
});

test("an archive that nobody takes is deleted after thirty days, and stays until then", async () => {
  await pipeline.run();
  const { requestId, workflow } = await ask("access", "EU");
  await pipeline.client.workflow.execute(workflow.type, {
    workflowId: workflow.workflowId,
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: null }],
  });
  await stopClock(requestId);
  const archives = async () =>
    (await pipeline.pool.query("select from privacy.archives where request_id = $1", [requestId])).rowCount;
  await time.sleep(29 * DAY);
  expect(await archives()).toBe(1);
  await passOver(time, { ms: 2 * DAY, client: pipeline.client, childId: archiveWorkflowId(requestId) });
  expect(await archives()).toBe(0);
  const { rows } = await pipeline.pool.query(
    "select from privacy.request_events where request_id = $1 and event = 'archive_expired'",
    [requestId],
  );
  expect(rows).toHaveLength(1);
});
