import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import { Worker } from "@temporalio/worker";
import { pino } from "pino";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { startTracing, tracedBundle, type Tracing } from "../telemetry/tracing.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { payloadsIn } from "./plaintext.ts";
import { receiveHttp } from "./receivers.ts";

const CANARY = "canary-7f3a@victim.test";
let directory: string;
let collector: Awaited<ReturnType<typeof receiveHttp>>;
let tracing: Tracing;
let pipeline: Pipeline;
let lines = "";

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-telemetry-"));
  await mkdir(join(directory, "schemas"));
  const source = `connector: csv, config: { path: people.csv }`;
  await writeFile(
    join(directory, "miette.yaml"),
    `name: seen
currency: EUR
time_zone: UTC
sources:
  crm: { ${source}, streams: { people: { mode: upsert, key: [id], schema: schemas/people.yaml } } }
`,
  );
  await writeFile(
    join(directory, "schemas/people.yaml"),
    `type: object
required: [id, age]
properties:
  id: { type: integer }
  email: { type: string, personal: email, identifier: email }
  age: { type: integer }
`,
  );
  await writeFile(join(directory, "people.csv"), `id,email,age\n1,${CANARY},40\n2,${CANARY},${CANARY}\n`);
  collector = await receiveHttp();
  tracing = startTracing(new URL(collector.url).origin);
  const log = pino({ level: "trace" }, { write: (line: string) => void (lines += line) });
  pipeline = await openPipeline(directory, {}, undefined, { log, tracing });
  await pipeline.sync({ source: "crm" });
  // The second fails in the database, which quotes the value that it stumbles over.
  await pipeline.pool.query(
    `alter table raw.crm__people add constraint no_forty_one check (age <> 41);
     alter table raw.crm__people add constraint quoted check (age <> 42)`,
  );
  await writeFile(join(directory, "people.csv"), `id,email,age\n1,${CANARY},42\n3,${CANARY},41\n`);
  await pipeline.sync({ source: "crm" }).catch(() => undefined);
  await tracing.stop();
});
afterAll(async () => {
  await pipeline.close();
  await collector.close();
  await rm(directory, { recursive: true });
});

function spans(): Span[] {
  return collector.received.flatMap(({ body }) => {
    const { resourceSpans } = JSON.parse(body.toString()) as {
      resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
    };
    return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
  });
}

test("a workflow and its activities are one trace", () => {
  expect(collector.received.map(({ path }) => path)).toContain("/v1/traces");
  const all = spans();
  const runs = all.filter(({ name }) => name === "RunWorkflow:syncSource");
  expect(runs).toHaveLength(2);
  for (const run of runs) {
    const trace = all.filter(({ traceId }) => traceId === run.traceId);
    expect(trace.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["RunActivity:planSync", "RunActivity:syncUnit", "StartActivity:syncUnit"]),
    );
    const ids = new Set(trace.map(({ spanId }) => spanId));
    for (const span of trace) if (span !== run) expect(ids).toContain(span.parentSpanId);
  }
});

test("a trace holds neither a record's value nor what the database said of it", () => {
  const text = collector.received.map(({ body }) => body.toString()).join();
  expect(text.includes("SQLSTATE 23514")).toBe(true);
  for (const leak of [CANARY, "violates", "Failing row", "lastResult"]) expect(text.includes(leak)).toBe(false);
});

test("the log has a JSON line for each activity, with its work and its run, and no value", () => {
  const entries = lines
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(entries).toContainEqual(
    expect.objectContaining({
      msg: "done",
      activity: "syncUnit",
      source: "crm",
      streams: ["people"],
      workflow: "sync:crm",
      run: expect.stringMatching(/^[0-9a-f-]{36}$/),
      attempt: 1,
    }),
  );
  expect(entries).toContainEqual(
    expect.objectContaining({ msg: "failed", activity: "syncUnit", code: "warehouse_statement" }),
  );
  for (const leak of [CANARY, "violates", "Failing row"]) expect(lines.includes(leak)).toBe(false);
});

test("histories replay alike whether workflows are traced or not", async () => {
  const bundle = inject("workflowBundle");
  const { dataConverter } = pipeline;
  for await (const { workflowId, runId } of pipeline.client.workflow.list({ query: "" })) {
    const history = await pipeline.client.workflow.getHandle(workflowId, runId).fetchHistory();
    const recorded = JSON.parse(historyToJSON(history)) as unknown;
    for (const codePath of [bundle, tracedBundle(bundle)]) {
      const sinks = { ...tracing.sinks };
      await Worker.runReplayHistory({ workflowBundle: { codePath }, dataConverter, sinks }, recorded, workflowId);
    }
  }
});

test("of a traced workflow's history only ids of spans are readable", async () => {
  const readable: string[] = [];
  for await (const { workflowId, runId } of pipeline.client.workflow.list({ query: "" })) {
    const history = await pipeline.client.workflow.getHandle(workflowId, runId).fetchHistory();
    for (const { metadata, data } of payloadsIn(history)) {
      const isSealed = Buffer.from(metadata?.["encoding"] ?? []).toString() === "binary/encrypted";
      const isSearchAttribute = metadata?.["type"] !== undefined;
      if (!isSealed && !isSearchAttribute) readable.push(Buffer.from(data ?? []).toString());
    }
  }
  expect(readable.length).toBeGreaterThan(0);
  for (const text of readable) expect(text).toMatch(/^\{"traceparent":"00-[0-9a-f]{32}-[0-9a-f]{16}-01"\}$/);
});
