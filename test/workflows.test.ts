import { mkdtemp, rm, writeFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Payload } from "@temporalio/common";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import { WorkflowFailedError } from "@temporalio/client";
import { Worker } from "@temporalio/worker";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { awaitWorkflow } from "../activities/await-workflow.ts";
import { applySchedules } from "../cli/schedules.ts";
import { syncWorkflowId } from "../domain/ids.ts";
import type { Project } from "../domain/project.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { payloadsIn } from "./plaintext.ts";

const CANARY = { email: "canary-7f3a@victim.test", name: "Zzyzx Canaryson", id: "canary-4711" };
let directory: string;
let pipeline: Pipeline;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-workflows-"));
  await mkdir(join(directory, "schemas"));
  await mkdir(join(directory, "data"));
  await writeFile(
    join(directory, "miette.yaml"),
    `name: canary
currency: EUR
time_zone: Europe/Paris
sources:
  people:
    connector: csv
    config: { path: data/people.csv }
    schedule: { every: 15m }
    streams:
      people: { mode: upsert, key: [id], schema: schemas/people.yaml }
  absent:
    connector: csv
    config: { path: data/absent.csv }
    schedule: { cron: "0 2 * * *" }
    streams:
      people: { mode: upsert, key: [id], schema: schemas/people.yaml }
`,
  );
  await writeFile(
    join(directory, "schemas/people.yaml"),
    `type: object
required: [id, age]
properties:
  id: { type: string, personal: account_id, identifier: customer_id }
  email: { type: string, personal: email, identifier: email }
  name: { type: string, personal: name }
  age: { type: integer }
`,
  );
  // The second record breaks its schema with the canary's e-mail where a number is due.
  await writeFile(
    join(directory, "data/people.csv"),
    `id,email,name,age\n${CANARY.id},${CANARY.email},${CANARY.name},40\n2,b@mail.example,B,${CANARY.email}\n`,
  );
  pipeline = await openPipeline(directory);
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

test("a source that can't be read does not keep the others from landing, and the run ends as failed with its reason", async () => {
  const error: unknown = await pipeline.run().catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(WorkflowFailedError);
  expect((error as WorkflowFailedError).cause?.message).toContain("absent.csv");
  expect((error as WorkflowFailedError).cause).toMatchObject({
    type: "run_failed",
    details: [
      {
        failed: [{ source: "absent", code: "source_rejected" }],
        syncs: [{ source: "people", streams: [{ inserted: 1, rejected: 1 }] }],
      },
    ],
  });
});

test("histories are sealed; opened, they hold ids, names and counts and no value of a record; they replay under today's code", async () => {
  const { client, dataConverter } = pipeline;
  const bundle = { workflowBundle: { codePath: inject("workflowBundle") }, dataConverter };
  let replayed = 0;
  for await (const { workflowId, runId } of client.workflow.list({ query: "" })) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const payloads = payloadsIn(history);
    expect(payloads.length).toBeGreaterThan(0);
    const isSealed = ({ metadata }: Payload): boolean => textOf(metadata?.["encoding"]) === "binary/encrypted";
    // Search attributes are the server's to read: names and counts only.
    const isSearchAttribute = ({ metadata }: Payload): boolean => metadata?.["type"] !== undefined;
    expect(payloads.filter((payload) => !isSealed(payload) && !isSearchAttribute(payload))).toEqual([]);
    const opened = await dataConverter.payloadCodecs![0]!.decode(payloads);
    const readable = historyToJSON(history) + opened.map(({ data }) => textOf(data)).join("\n");
    for (const value of Object.values(CANARY)) expect(readable).not.toContain(value);
    await Worker.runReplayHistory(bundle, JSON.parse(historyToJSON(history)) as unknown, workflowId);
    replayed += 1;
  }
  expect(replayed).toBeGreaterThanOrEqual(3);
});

test("a run that waits for a sync which somebody else started fails with that sync's reason, and does not wait again", async () => {
  await expect(awaitWorkflow(pipeline.client, syncWorkflowId("absent"))).rejects.toMatchObject({
    type: "source_rejected",
    nonRetryable: true,
    message: expect.stringContaining("absent.csv") as string,
  });
  const hanging = await pipeline.client.workflow.start("syncSource", {
    workflowId: "sync:nobody",
    taskQueue: "nobody",
    args: [{ source: "people", full: false }],
  });
  await hanging.terminate("by hand");
  await expect(awaitWorkflow(pipeline.client, "sync:nobody")).rejects.toMatchObject({
    type: "internal",
    nonRetryable: true,
    message: "sync:nobody, which had begun before, was ended: by hand",
  });
});

test("neither the message nor the stack of a failure is readable in a history", async () => {
  const history = await pipeline.client.workflow.getHandle("sync:absent").fetchHistory();
  const text = historyToJSON(history);
  expect(text).toContain("Encoded failure");
  expect(text).not.toMatch(/absent\.csv|\.ts:\d+/);
});

test("a run is found in the UI by what it does, and tells stream, pages and rows", async () => {
  const handle = pipeline.client.workflow.getHandle("sync:people");
  const { typedSearchAttributes, raw } = await handle.describe();
  expect(JSON.stringify(typedSearchAttributes)).toContain("people");
  expect(raw.workflowExtendedInfo).toBeDefined();
  const metadata = await handle.query<{ currentDetails: string }>("__temporal_workflow_metadata");
  expect(metadata.currentDetails).toContain("| people | 1 | 2 | 1 | done |");
});

test("schedules apply creates what miette.yaml names, keeps an operator's pause, and deletes what is gone", async () => {
  const project = await pipeline.project();
  expect(await applySchedules(pipeline.client, project)).toEqual({
    created: ["sync:people", "sync:absent", "retention"],
    updated: [],
    deleted: [],
  });
  await pipeline.client.schedule.getHandle("sync:people").pause("vendor is down");
  const onlyPeople: Project = {
    ...project,
    sources: project.sources
      .filter(({ name }) => name === "people")
      .map((source) => ({ ...source, schedule: { every: "1h" } })),
  };
  await expect
    .poll(() => applySchedules(pipeline.client, onlyPeople), { timeout: 20_000, interval: 1_000 })
    .toMatchObject({ updated: ["sync:people", "retention"] });
  const { spec, state, policies } = await pipeline.client.schedule.getHandle("sync:people").describe();
  expect(spec.intervals).toMatchObject([{ every: 3_600_000 }]);
  expect(state).toMatchObject({ paused: true, note: "vendor is down" });
  expect(policies).toMatchObject({ overlap: "SKIP", catchupWindow: 3_600_000 });
  await expect(pipeline.client.schedule.getHandle("sync:absent").describe()).rejects.toThrow(
    /not found|closed|completed/i,
  );
});

test("a scheduled sync lands and then has the models built", async () => {
  await pipeline.client.schedule.getHandle("sync:people").trigger();
  await expect
    .poll(
      async () => {
        const ids: string[] = [];
        for await (const each of pipeline.client.workflow.list({ query: "ExecutionStatus = 'Completed'" }))
          ids.push(each.workflowId);
        return ids;
      },
      { timeout: 40_000, interval: 500 },
    )
    .toEqual(expect.arrayContaining([expect.stringMatching(/^sync:people-20/), "build"]));
});

function textOf(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString("utf8");
}
