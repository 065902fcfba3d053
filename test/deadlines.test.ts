import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestWorkflowEnvironment } from "@temporalio/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deliveryWorkflowId, erasureWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import { finishTask, openTask } from "../warehouse/activation/tasks.ts";
import { readReceipts } from "../warehouse/receipts.ts";
import { receiveRequest } from "../warehouse/requests/store.ts";
import { readSubject } from "../warehouse/requests/subject.ts";
import { shopRows, writeBuyersTo, writeErasureProject, writeRows } from "./erasure-project.ts";
import { addSearchAttributes, openPipeline, silenceWorkers, type Pipeline } from "./pipeline.ts";
import { say } from "./say.ts";
import { startTimeSkipping } from "./time-skipping.ts";
import { receiveWebhooks } from "./webhook-receiver.ts";

const HOUR = 3_600_000;
/** The machine gives up three days before an answer is due. All tests together take less than ten days: then clocks end. */
const RESERVE = 72 * HOUR;

let directory: string;
let time: TestWorkflowEnvironment;
let pipeline: Pipeline;
let crm: Awaited<ReturnType<typeof receiveWebhooks>>;
const PEOPLE = ["c100@crowd.test", "c101@crowd.test", "c102@crowd.test", "c103@crowd.test", "c104@crowd.test"] as const;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-deadlines-"));
  crm = await receiveWebhooks();
  await writeErasureProject(directory);
  await writeBuyersTo(directory, crm.url);
  await writeRows(directory, shopRows());
  silenceWorkers();
  time = await startTimeSkipping();
  await addSearchAttributes(time.connection, time.namespace ?? "default");
  pipeline = await openPipeline(directory, {}, undefined, {
    temporal: { address: time.address, namespace: time.namespace ?? "default" },
  });
  await pipeline.run();
  for (const email of PEOPLE) await say(pipeline, email, { occurredAt: new Date("2026-01-01T00:00:00Z") });
  await pipeline.client.workflow.execute("deliverAudience", {
    workflowId: deliveryWorkflowId("crm", "buyers"),
    taskQueue: TASK_QUEUE,
    args: [{ segment: "buyers", destination: "crm", actor: "test" }],
  });
});
afterAll(async () => {
  await pipeline.close();
  await time.teardown();
  await crm.close();
  await rm(directory, { recursive: true });
});

/** Starts an erasure at whose destinations a machine may try for six hours. */
async function erase(email: string) {
  const requestId = await receiveRequest(pipeline.pool, pipeline.vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    dueAt: new Date((await time.currentTimeMs()) + RESERVE + 6 * HOUR),
    notBefore: null,
    identifiers: readSubject(await pipeline.project(), { emails: [email], phones: [], ids: [] }),
    actor: "test",
  });
  const handle = await pipeline.client.workflow.start("eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: "test" }],
  });
  return { requestId, handle };
}
const one = async (sql: string, ...values: unknown[]): Promise<unknown> =>
  Object.values((await pipeline.pool.query<Record<string, unknown>>(sql, values)).rows[0] ?? {})[0] ?? null;
const alertOf = (subject: string) => one("select state || ' ' || code from ops.alerts where subject = $1", subject);
const deliveryOf = (requestId: string) =>
  one(
    "select state || case when envelope is null then '' else ' sealed' end from privacy.deliveries where request_id = $1",
    requestId,
  );
const recipientsIn = async (requestId: string): Promise<unknown> =>
  (JSON.parse((await readReceipts(pipeline.pool, requestId))[0]!.body) as { recipients: unknown }).recipients;
/** Hours pass until a person is called for. */
async function untilCalled(requestId: string): Promise<void> {
  await expect
    .poll(() => one("select count(*)::int from privacy.deliveries where request_id = $1", requestId), {
      timeout: 60_000,
    })
    .toBe(1);
  for (let hours = 0; (await alertOf(`task:${requestId}:crm`)) === null && hours < 12; hours += 1)
    await time.sleep(HOUR);
}

test("a deletion API that is down until the machine gives up is a person's task with days left, and an exception once it is due", async () => {
  crm.behave(() => 503);
  const { requestId, handle } = await erase(PEOPLE[0]);
  await untilCalled(requestId);
  expect(await alertOf("destination:crm")).toBe("error source_unavailable");
  expect(await alertOf(`task:${requestId}:crm`)).toBe("error failed");
  expect(await deliveryOf(requestId)).toBe("failed sealed");
  expect(
    await one(
      "select due_at > $2 from privacy.requests where request_id = $1",
      requestId,
      new Date((await time.currentTimeMs()) + RESERVE - 2 * HOUR),
    ),
  ).toBe(true);
  expect(await one("select state from privacy.requests where request_id = $1", requestId)).toBe("running");
  await time.sleep(RESERVE);
  expect(await handle.result()).toMatchObject({ state: "completed_with_exceptions", recipients: ["crm"] });
  expect(await recipientsIn(requestId)).toMatchObject([{ recipient: "crm", status: "failed", by_hand: false }]);
  expect(await deliveryOf(requestId)).toBe("failed");
  await expect(finishTask(pipeline.pool, requestId, "crm", "os:anna")).rejects.toThrow(/nothing of this request/);
});

test("one that goes on asking for patience is asked by hand before it is due, and the receipt says by whom it was done", async () => {
  crm.behave(() => ({ status: 429, text: "", headers: { "retry-after": "600" } }));
  const { requestId, handle } = await erase(PEOPLE[1]);
  await untilCalled(requestId);
  expect(await alertOf("destination:crm")).toBe("error source_throttled");
  const known = [...crm.audience.values()].find((member) => String(member["email_address"]) === PEOPLE[1]);
  expect(await openTask(pipeline.pool, pipeline.vault, requestId, "crm", "os:anna")).toEqual([
    { id: known?.["id"], fields: { email_address: [PEOPLE[1]] } },
  ]);
  expect(await one("select detail from privacy.audit where action = 'request.task'")).toEqual({
    request: requestId,
    recipient: "crm",
  });
  await finishTask(pipeline.pool, requestId, "crm", "os:anna");
  await handle.signal("doneByHand", "crm");
  expect(await handle.result()).toMatchObject({ recipients: [] });
  expect(await recipientsIn(requestId)).toMatchObject([{ recipient: "crm", status: "confirmed", by_hand: true }]);
  expect(await alertOf(`task:${requestId}:crm`)).toMatch(/^ok/);
});

test("a vendor that has vanished is told by hand, and what a person has noted counts though its signal was lost", async () => {
  crm.behave(() => 200);
  const calls = crm.calls.length;
  const file = join(directory, "miette.yaml");
  const whole = await readFile(file, "utf8");
  const without = whole.slice(0, whole.indexOf("destinations:"));
  await writeFile(
    file,
    `${without}destinations:\n  crm: { connector: manual, config: { instructions: "Legal writes to dpo@vendor.test." } }\n`,
  );
  const vanished = await erase(PEOPLE[2]);
  await untilCalled(vanished.requestId);
  expect(await alertOf(`task:${vanished.requestId}:crm`)).toBe("error manual");
  // The signal is lost: what was noted counts all the same, within a day.
  await finishTask(pipeline.pool, vanished.requestId, "crm", "os:anna");
  await time.sleep(25 * HOUR);
  expect(await vanished.handle.result()).toMatchObject({ recipients: [] });
  expect(await recipientsIn(vanished.requestId)).toMatchObject([{ status: "confirmed", by_hand: true }]);
  expect(crm.calls).toHaveLength(calls);
  await writeFile(file, whole);
});

/** Approves an erasure that had the destination in its plan, takes the destination out of the project, and lets it begin. */
async function eraseWithout(email: string) {
  crm.behave(() => 503);
  const running = await erase(email);
  const sent = "select state from privacy.deliveries where request_id = $1";
  await expect.poll(() => one(sent, running.requestId), { timeout: 60_000 }).toBe("sent");
  const file = join(directory, "miette.yaml");
  const whole = await readFile(file, "utf8");
  await writeFile(file, whole.slice(0, whole.indexOf("destinations:")));
  crm.behave(() => 200);
  return { ...running, putBack: () => writeFile(file, whole) };
}

test("a destination that is taken out of the project after the approval is a person's task at once, and no clean receipt", async () => {
  const { requestId, handle, putBack } = await eraseWithout(PEOPLE[3]);
  const calls = crm.calls.length;
  const began = await time.currentTimeMs();
  await untilCalled(requestId);
  expect((await time.currentTimeMs()) - began).toBeLessThan(2 * HOUR);
  expect(await alertOf(`task:${requestId}:crm`)).toBe("error manual");
  expect(await deliveryOf(requestId)).toBe("manual sealed");
  expect(await openTask(pipeline.pool, pipeline.vault, requestId, "crm", "os:anna")).toMatchObject([
    { fields: { email_address: [PEOPLE[3]] } },
  ]);
  await time.sleep(RESERVE + 6 * HOUR);
  expect(await handle.result()).toMatchObject({ state: "completed_with_exceptions", recipients: ["crm"] });
  expect(await recipientsIn(requestId)).toMatchObject([
    { recipient: "crm", status: "manual", by_hand: false, undeclared: true },
  ]);
  expect(crm.calls).toHaveLength(calls);
  await putBack();
});

test("one that is put back before the request is due erases after all, and nobody has to ask it any more", async () => {
  const { requestId, handle, putBack } = await eraseWithout(PEOPLE[4]);
  await untilCalled(requestId);
  expect(await deliveryOf(requestId)).toBe("manual sealed");
  await putBack();
  const before = crm.effects.filter((effect) => effect === "person.erase").length;
  await time.sleep(25 * HOUR);
  expect(await handle.result()).toMatchObject({ recipients: [] });
  expect(crm.effects.filter((effect) => effect === "person.erase")).toHaveLength(before + 1);
  expect(await recipientsIn(requestId)).toMatchObject([{ recipient: "crm", status: "accepted", undeclared: false }]);
  expect(await alertOf(`task:${requestId}:crm`)).toMatch(/^ok/);
});
