import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { loadProject, loadSettings } from "../config.ts";
import { destinationSpecs, sourceSpecs } from "../connectors/index.ts";
import { deliveryWorkflowId, RUN_WORKFLOW_ID, TASK_QUEUE } from "../domain/ids.ts";
import type { ErasureReport } from "../domain/requests.ts";
import { keyRingOf } from "../privacy/key-ring.ts";
import { dataConverter } from "../warehouse/data-converter.ts";
import { readReceipts } from "../warehouse/receipts.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { Vault } from "../warehouse/vault.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { shopRows, writeBuyersTo, writeErasureProject, writeRows } from "./erasure-project.ts";
import { createNamespace } from "./pipeline.ts";
import { say } from "./say.ts";
import { receiveWebhooks } from "./webhook-receiver.ts";
import { startWorker, type WorkerProcess } from "./worker-process.ts";

/** What an erasure is made of, in its order. */
const STEPS = [
  "planErasure",
  "approveRequest",
  "claimErasures",
  "tombstoneErasures",
  "fenceErasures",
  "sweepErasures",
  "planBuild",
  "publishBuild",
  "vacuumErasures",
  "verifyErasures",
  "finishErasures",
  "listErasures",
  "eraseAtDestination",
  "completeErasure",
];
/** One of them in the suite, another on another day. */
const SEED = Math.floor(Date.now() / 86_400_000);
const TRIED = process.env["MIETTE_TEST_LONG"] ? STEPS : [STEPS[SEED % STEPS.length] as string];

let directory: string;
let database: TestDatabase;
let vault: Vault;
let connection: Connection;
let client: Client;
let environment: Record<string, string>;
let worker: WorkerProcess;
let crm: Awaited<ReturnType<typeof receiveWebhooks>>;
/** What the receipt says where nobody is killed. */
let whole: Record<string, unknown>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-killed-"));
  crm = await receiveWebhooks();
  await writeErasureProject(directory);
  await writeBuyersTo(directory, crm.url);
  await writeRows(directory, shopRows());
  await mkdir(join(directory, "home/logs"), { recursive: true });
  database = await createTestDatabase();
  const { address, namespace } = await createNamespace();
  environment = {
    MIETTE_HOME: join(directory, "home"),
    MIETTE_PROJECT: directory,
    MIETTE_WORKFLOW_BUNDLE: inject("workflowBundle"),
    MIETTE_KEY_GENERATIONS: `1:${randomBytes(32).toString("hex")}`,
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: namespace,
  };
  vault = await Vault.open(database.pool, keyRingOf(loadSettings({ env: environment })));
  connection = await Connection.connect({ address });
  client = new Client({ connection, namespace, dataConverter: dataConverter(database.pool, vault) });
  worker = await startWorker(environment);
  await execute("runPipeline", RUN_WORKFLOW_ID, {});
  for (let i = 0; i < 30; i += 1) await say({ pool: database.pool, vault }, `c${100 + i}@crowd.test`, {});
  await execute("deliverAudience", deliveryWorkflowId("crm", "buyers"), {
    segment: "buyers",
    destination: "crm",
    actor: "test",
  });
  whole = await erase("c129@crowd.test", null);
});
afterAll(async () => {
  await worker.stop();
  await connection.close();
  await database.drop();
  await crm.close();
  await rm(directory, { recursive: true });
});

const execute = (type: string, workflowId: string, input: unknown): Promise<unknown> =>
  client.workflow.execute(type, { workflowId, taskQueue: TASK_QUEUE, args: [input] });

/** Erases one of the crowd, of whom there is as much of each. @returns the receipt without moments, numbers and names */
async function erase(email: string, killedAfter: string | null): Promise<Record<string, unknown>> {
  const project = await loadProject(directory, { connectorSpecs: sourceSpecs, destinationSpecs, env: {} });
  const { requestId, workflow } = await takeIn(database.pool, vault, project, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    named: { emails: [email], phones: [], ids: [] },
    actor: "test",
  });
  const killed = killedAfter === null ? null : worker.killAfter(killedAfter);
  const ended = execute(workflow.type, workflow.workflowId, { requestId, actor: "test", approvedBy: "test" });
  if (killed) {
    await killed;
    worker = await startWorker(environment);
  }
  expect(await ended).toMatchObject({ state: "completed", recipients: [] } satisfies Partial<ErasureReport>);
  const receipts = await readReceipts(database.pool, requestId);
  expect(receipts).toHaveLength(1);
  const { outcome, plan, swept_together, recipients, verification } = JSON.parse(receipts[0]!.body) as {
    [name: string]: unknown;
    recipients: { recipient: string; status: string }[];
    verification: { findings: unknown; unscanned: unknown };
  };
  const told = recipients.map(({ recipient, status }) => `${recipient} ${status}`);
  const { findings, unscanned } = verification;
  return { outcome, plan, swept_together, told, findings, unscanned };
}

const erasuresAt = () => crm.effects.filter((effect) => effect === "person.erase").length;

test.each(TRIED)(
  `kill -9 of the worker after %s: the receipt is as without it, and the destination has erased once (seed ${SEED})`,
  { timeout: 240_000 },
  async (step) => {
    const before = erasuresAt();
    expect(await erase(`c${100 + STEPS.indexOf(step)}@crowd.test`, step)).toEqual(whole);
    expect(erasuresAt()).toBe(before + 1);
  },
);
