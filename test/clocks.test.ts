import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestWorkflowEnvironment } from "@temporalio/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { erasureWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import { answerChallenge, makeChallenge } from "../warehouse/requests/identity.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { CANARY, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { addSearchAttributes, openPipeline, silenceWorkers, type Pipeline } from "./pipeline.ts";
import { startTimeSkipping } from "./time-skipping.ts";

const DAY = 86_400_000;

let directory: string;
let time: TestWorkflowEnvironment;
let pipeline: Pipeline;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-clocks-"));
  await writeErasureProject(directory);
  await writeRows(directory, shopRows());
  silenceWorkers();
  time = await startTimeSkipping();
  await addSearchAttributes(time.connection, time.namespace ?? "default");
  pipeline = await openPipeline(directory, {}, undefined, {
    temporal: { address: time.address, namespace: time.namespace ?? "default" },
  });
  await pipeline.run();
});
afterAll(async () => {
  await pipeline.close();
  await time.teardown();
  await rm(directory, { recursive: true });
});

const stateOf = async (requestId: string): Promise<string> =>
  (await pipeline.pool.query("select state from privacy.requests where request_id = $1", [requestId])).rows[0].state;

async function ask(channelName: string): Promise<string> {
  const { requestId } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
    kind: "erasure",
    channel: channelName,
    jurisdiction: "EU",
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
  const { code } = await makeChallenge(pipeline.pool, pipeline.vault, shown, "test");
  expect(await answerChallenge(pipeline.pool, silent, code, "api")).toBe(false);
  expect(await answerChallenge(pipeline.pool, shown, code, "api")).toBe(true);
  expect(await answerChallenge(pipeline.pool, shown, code, "api")).toBe(false);
  // The signal is lost: what was shown in time counts all the same.
  await time.sleep(13 * DAY);
  expect(await stateOf(silent)).toBe("received");
  await time.sleep(2 * DAY);
  expect(await waiting.result()).toMatchObject({ state: "expired", receipt: null });
  await expect.poll(() => stateOf(shown), { timeout: 60_000 }).toBe("planned");
  await going.signal("cancel", "test");
  expect(await going.result()).toMatchObject({ state: "cancelled" });
  const { rows } = await pipeline.pool.query("select sealed from privacy.requests where request_id = any($1)", [
    [silent, shown],
  ]);
  expect(rows).toEqual([{ sealed: null }, { sealed: null }]);
});
