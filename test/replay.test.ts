import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { DeterminismViolationError } from "@temporalio/workflow";
import { bundleWorkflowCode, Worker, type WorkflowBundle } from "@temporalio/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";
import {
  DECIDE_RULES_SIGNAL,
  challengeWorkflowId,
  deliveryWorkflowId,
  clockWorkflowId,
  ERASURE_WORKFLOW_ID,
  erasureWorkflowId,
  HEALTH_WORKFLOW_ID,
  HOLDS_WORKFLOW_ID,
  IDENTITY_WORKFLOW_ID,
  KEYS_WORKFLOW_ID,
  readmissionWorkflowId,
  serveWorkflowId,
  recheckWorkflowId,
  REVOKE_DELIVERIES,
  REKEY_WORKFLOW_ID,
  RETENTION_WORKFLOW_ID,
  schemaWorkflowId,
  TASK_QUEUE,
} from "../domain/ids.ts";
import type { RequestKind } from "../domain/requests.ts";
import { FAILURE_CONVERTER_PATH } from "../warehouse/data-converter.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { receiveRequest } from "../warehouse/requests/store.ts";
import { openPipeline } from "./pipeline.ts";
import { readHistories, recordHistory } from "./recorded-histories.ts";
import { receiveWebhooks, WEBHOOK_SECRET } from "./webhook-receiver.ts";

const IS_RECORDING = Boolean(process.env["MIETTE_RECORD_HISTORIES"]);

/** A value of a record that no history may hold. */
const CANARY = "canary-7f3a@victim.test";

const quiet = (): void => undefined;
const logger = { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "miette-replay-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function bundle(directory: string): Promise<WorkflowBundle> {
  const workflowsPath = join(directory, "workflows", "index.ts");
  return await bundleWorkflowCode({ workflowsPath, failureConverterPath: FAILURE_CONVERTER_PATH, logger });
}

async function replay(
  workflowBundle: WorkflowBundle,
  { workflowId, history }: { workflowId: string; history: unknown },
) {
  const dataConverter = { failureConverterPath: FAILURE_CONVERTER_PATH };
  await Worker.runReplayHistory({ workflowBundle, dataConverter }, history, workflowId);
}

/** The workflows with one piece of text replaced, bundled. */
async function changed(name: string, edits: [file: string, before: string, after: string][]): Promise<WorkflowBundle> {
  const copy = join(folder, name);
  await mkdir(copy);
  for (const part of ["workflows", "domain"])
    await cp(join(PACKAGE_DIRECTORY, part), join(copy, part), { recursive: true });
  await symlink(join(PACKAGE_DIRECTORY, "node_modules"), join(copy, "node_modules"));
  for (const [file, before, after] of edits) {
    const path = join(copy, "workflows", file);
    const text = await readFile(path, "utf8");
    expect(text, `${file} holds the text to be changed`).toContain(before);
    await writeFile(path, text.replace(before, after));
  }
  return await bundle(copy);
}

test.runIf(IS_RECORDING)("histories are recorded anew from real runs", { timeout: 300_000 }, async () => {
  const project = join(folder, "project");
  await mkdir(join(project, "schemas"), { recursive: true });
  await mkdir(join(project, "data"));
  await mkdir(join(project, "sql/segments"), { recursive: true });
  await writeFile(
    join(project, "sql/segments/everybody.sql"),
    "-- Everybody.\n-- consent: marketing\nselect customer_id from mart.dim_customers\n",
  );
  await writeFile(
    join(project, "miette.yaml"),
    `name: replayed
currency: EUR
time_zone: UTC
sources:
  people:
    connector: csv
    config: { path: data/people.csv }
    streams:
      people: { mode: upsert, key: [id], schema: schemas/people.yaml }
  absent:
    connector: csv
    config: { path: data/absent.csv }
    streams:
      people: { mode: upsert, key: [id], schema: schemas/people.yaml }
`,
  );
  await writeFile(
    join(project, "schemas/people.yaml"),
    `type: object
required: [id]
properties:
  id: { type: string, personal: account_id, identifier: customer_id }
  email: { type: string, personal: email, identifier: email }
  age: { type: integer }
`,
  );
  await writeFile(
    join(project, "data/people.csv"),
    `id,email,age,city\n1,${CANARY},40,${CANARY}\n2,b@mail.example,${CANARY},\n`,
  );
  const pipeline = await openPipeline(project);
  const codec = pipeline.dataConverter.payloadCodecs?.[0];
  if (!codec) throw new Error("histories are not sealed");
  const record = (name: string, workflowId: string) =>
    recordHistory(pipeline.client, codec, { name, workflowId, directory: project });
  try {
    await expect(pipeline.run()).rejects.toThrow("Workflow execution failed");
    await record("run-pipeline-with-a-failed-source", "run");
    await record("sync-source-failed", "sync:absent");
    await record("sync-source", "sync:people");
    await record("check-health", HEALTH_WORKFLOW_ID);
    await record("build-models", "build");
    await pipeline.build();
    await record("build-models-without-work", "build");
    await pipeline.sync({ source: "people", full: true, thenBuild: true });
    await record("sync-source-then-build", "sync:people");
    await writeFile(join(project, "data/absent.csv"), "id,email,age\n");
    await pipeline.run({ full: true });
    await record("run-pipeline", "run");
    const acceptance = schemaWorkflowId("people", "people", "recorded");
    const field = { source: "people", stream: "people", field: "city", as: "open", actor: "os:operator" };
    const start = { workflowId: acceptance, taskQueue: TASK_QUEUE, args: [field] };
    await pipeline.client.workflow.execute("acceptField", start);
    await record("accept-field", acceptance);
    const about = (kind: RequestKind) =>
      receiveRequest(pipeline.pool, pipeline.vault, {
        kind,
        channel: "cli",
        jurisdiction: null,
        dueAt: null,
        notBefore: null,
        identifiers: [{ kind: "email", canonical: CANARY }],
        actor: "os:operator",
      });
    const erasure = await about("erasure");
    await pipeline.client.workflow.execute("eraseSubject", {
      workflowId: erasureWorkflowId(erasure),
      taskQueue: TASK_QUEUE,
      args: [{ requestId: erasure, actor: "os:operator", approvedBy: "os:operator" }],
    });
    await record("erase-subject", erasureWorkflowId(erasure));
    await pipeline.client.workflow.getHandle(ERASURE_WORKFLOW_ID).result();
    await record("erase-batch", ERASURE_WORKFLOW_ID);
    await record("recheck-erasure", recheckWorkflowId(erasure));
    const readmission = await about("readmission");
    await pipeline.client.workflow.execute("readmitSubject", {
      workflowId: readmissionWorkflowId(readmission),
      taskQueue: TASK_QUEUE,
      args: [{ requestId: readmission, actor: "os:operator" }],
    });
    await record("readmit-subject", readmissionWorkflowId(readmission));
    await record("watch-clock", clockWorkflowId(readmission));
    const rekeying = { workflowId: REKEY_WORKFLOW_ID, taskQueue: TASK_QUEUE, args: [{ actor: "os:operator" }] };
    for (const [type, name] of [
      ["rekeyTokens", "rekey-tokens"],
      ["retireTokens", "retire-tokens"],
    ] as const) {
      await pipeline.client.workflow.execute(type, rekeying);
      await record(name, REKEY_WORKFLOW_ID);
    }
    const { requestId: served } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
      kind: "opt_out",
      channel: "api",
      jurisdiction: null,
      named: { emails: [CANARY], phones: [], ids: [] },
      actor: "api",
    });
    await pipeline.client.workflow.execute("serveRequest", {
      workflowId: serveWorkflowId(served),
      taskQueue: TASK_QUEUE,
      args: [{ requestId: served }],
    });
    await record("serve-request", serveWorkflowId(served));
    const carriedOut = async (kind: RequestKind, values?: Record<string, string>) => {
      const { requestId, workflow } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
        kind,
        channel: "cli",
        jurisdiction: null,
        named: { emails: ["b@mail.example"], phones: [], ids: [] },
        ...(values && { values }),
        actor: "os:operator",
      });
      await pipeline.client.workflow.execute(workflow.type, {
        workflowId: workflow.workflowId,
        taskQueue: TASK_QUEUE,
        args: [{ requestId, actor: "os:operator", approvedBy: "os:operator" }],
      });
      return { requestId, workflowId: workflow.workflowId };
    };
    await pipeline.client.workflow.execute("applyRetention", {
      workflowId: RETENTION_WORKFLOW_ID,
      taskQueue: TASK_QUEUE,
      args: [{ actor: "os:operator" }],
    });
    await record("apply-retention", RETENTION_WORKFLOW_ID);
    await pipeline.client.workflow.execute("releaseHolds", {
      workflowId: HOLDS_WORKFLOW_ID,
      taskQueue: TASK_QUEUE,
      args: [],
    });
    await record("release-holds", HOLDS_WORKFLOW_ID);
    await record("apply-choice", (await carriedOut("objection")).workflowId);
    const correction = await carriedOut("correction", { "people.people.age": "41" });
    await record("correct-subject", correction.workflowId);
    const release = { workflowId: "release:recorded", taskQueue: TASK_QUEUE };
    await pipeline.client.workflow.execute("releaseCorrection", {
      ...release,
      args: [{ requestId: correction.requestId, actor: "os:operator" }],
    });
    await record("release-correction", release.workflowId);
    const access = await carriedOut("access");
    await record("grant-access", access.workflowId);
    await record("expire-archive", `archive:${access.requestId}`);
    const plain = await readFile(join(project, "miette.yaml"), "utf8");
    await writeFile(
      join(project, "miette.yaml"),
      `${plain}destinations:\n  files: { connector: csv, config: { directory: out } }\n`,
    );
    const member = randomUUID();
    await pipeline.pool.query(`
      insert into privacy.deliveries (destination, operation, audience, purpose, state, members) values ('files', 'deliver', 'everybody', 'marketing', 'confirmed', 1);
      insert into privacy.recipients (batch_id, customer_id, recipient, audience, purpose, state)
        select delivery_id, '${member}', 'files', 'everybody', 'marketing', 'done' from privacy.deliveries`);
    const delivery = deliveryWorkflowId("files", "everybody");
    const again = () =>
      pipeline.pool.query("update privacy.recipients set state = 'unknown' where operation = 'remove'");
    await pipeline.client.workflow.execute("deliverAudience", {
      workflowId: delivery,
      taskQueue: TASK_QUEUE,
      args: [{ segment: "everybody", destination: "files", actor: "os:operator" }],
    });
    await record("deliver-audience", delivery);
    await again();
    await (await pipeline.client.workflow.signalWithStart("revokeDeliveries", REVOKE_DELIVERIES)).result();
    await record("revoke-deliveries", REVOKE_DELIVERIES.workflowId);
    // Somebody who is held: a code goes to nobody else.
    await mkdir(join(project, "sql/models/staging"), { recursive: true });
    await writeFile(
      join(project, "sql/models/staging/people__people.sql"),
      `-- One row per person.
-- contract: customers
select record_key, deleted_at, id as customer_ref, email as email_token, null::text as phone_token, null::text as country,
    null::integer as birth_year, null::timestamptz as registered_at from raw.people__people
`,
    );
    await writeFile(join(project, "data/people.csv"), "id,email,age\n3,c@mail.example,30\n");
    await pipeline.run({ full: true });
    const mailer = await receiveWebhooks();
    await writeFile(
      join(project, "miette.yaml"),
      `${plain}destinations:\n  mailer: { connector: webhook, config: { url: "${mailer.url}", secret: "${WEBHOOK_SECRET}" } }\n`,
    );
    const { requestId: challenged } = await takeIn(pipeline.pool, pipeline.vault, await pipeline.project(), {
      kind: "access",
      channel: "api",
      jurisdiction: null,
      named: { emails: ["c@mail.example"], phones: [], ids: [] },
      actor: "api",
    });
    await pipeline.client.workflow.execute("challengeSubject", {
      workflowId: challengeWorkflowId(challenged),
      taskQueue: TASK_QUEUE,
      args: [{ requestId: challenged, destination: "mailer", actor: "os:operator" }],
    });
    await record("challenge-subject", challengeWorkflowId(challenged));
    await mailer.close();
    await writeFile(join(project, "miette.yaml"), plain);
    const rotation = { workflowId: KEYS_WORKFLOW_ID, taskQueue: TASK_QUEUE, args: [{ actor: "os:operator" }] };
    await pipeline.client.workflow.execute("rotateKeys", rotation);
    await record("rotate-keys", KEYS_WORKFLOW_ID);
    const settings = await readFile(join(project, "miette.yaml"), "utf8");
    await writeFile(
      join(project, "miette.yaml"),
      `${settings}identity:\n  identifiers:\n    - { kind: email, limit: 2 }\n`,
    );
    const application = { workflowId: IDENTITY_WORKFLOW_ID, taskQueue: TASK_QUEUE, args: [{ actor: "os:operator" }] };
    const waiting = await pipeline.client.workflow.start("applyIdentity", application);
    const plans = "select from ops.identity_plans where status = 'waiting'";
    await expect.poll(async () => (await pipeline.pool.query(plans)).rowCount, { timeout: 60_000 }).toBe(1);
    await waiting.signal(DECIDE_RULES_SIGNAL, { isApproved: true, actor: "os:operator" });
    await waiting.result();
    await record("apply-identity", IDENTITY_WORKFLOW_ID);
  } finally {
    await pipeline.close();
  }
});

describe("recorded histories", () => {
  test("are there of every workflow, and hold no value of a record", async () => {
    const histories = await readHistories();
    const texts = histories.map(({ history }) => JSON.stringify(history));
    const index = await readFile(join(PACKAGE_DIRECTORY, "workflows", "index.ts"), "utf8");
    const workflows = [...index.matchAll(/^export \{ (\w+) \}/gm)].map(([, name]) => name);
    expect(workflows.length).toBeGreaterThanOrEqual(3);
    const missing = workflows.filter(
      (name) => !texts.some((text) => text.includes(`"workflowType":{"name":"${name}"}`)),
    );
    expect(missing, "workflows without a history: npm run record-histories").toEqual([]);
    for (const text of texts) {
      const readable = text.replaceAll(/"data":"([A-Za-z0-9+/=]+)"/g, (_, data: string) =>
        Buffer.from(data, "base64").toString("utf8"),
      );
      expect(readable).not.toContain(CANARY);
      for (const place of [PACKAGE_DIRECTORY, tmpdir()]) expect(readable).not.toContain(place);
      expect(readable).not.toMatch(/\d+@[\w-]+"/);
    }
  });

  test("replay under today's workflows", { timeout: 120_000 }, async () => {
    const today = await bundle(PACKAGE_DIRECTORY);
    for (const recorded of await readHistories()) {
      await expect(replay(today, recorded), recorded.name).resolves.toBeUndefined();
    }
  });

  test("do not replay once a workflow asks for something else", { timeout: 120_000 }, async () => {
    const before = "const units = await planning.planSync(input);";
    const other = await changed("unpatched", [["sync-source.ts", before, `await planning.listSources();\n${before}`]]);
    const [recorded] = (await readHistories()).filter(({ name }) => name === "sync-source");
    await expect(replay(other, recorded!)).rejects.toThrow(DeterminismViolationError);
  });

  test("replay where the same change stands behind patched()", { timeout: 120_000 }, async () => {
    const before = "const units = await planning.planSync(input);";
    const other = await changed("patched", [
      ["sync-source.ts", before, `if (patched("sources-first")) await planning.listSources();\n${before}`],
      ["sync-source.ts", "import {", "import { patched,"],
    ]);
    for (const recorded of await readHistories()) {
      await expect(replay(other, recorded), recorded.name).resolves.toBeUndefined();
    }
  });
});
