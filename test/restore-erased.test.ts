import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { loadSqlTree, PACKAGE_DIRECTORY } from "../config.ts";
import { erasureWorkflowId, REKEY_WORKFLOW_ID, TASK_QUEUE } from "../domain/ids.ts";
import { openBackupFile, type Part } from "../warehouse/backup/file.ts";
import { rebuild } from "../warehouse/backup/rebuild.ts";
import { checkParts, restoreState } from "../warehouse/backup/restore.ts";
import { writeBackup } from "../warehouse/backup/write.ts";
import { openPools } from "../warehouse/database.ts";
import { keptFacts } from "../warehouse/erasure/kept-facts.ts";
import type { Graph } from "../warehouse/models/graph.ts";
import { loadProjectGraph } from "../warehouse/models/project-graph.ts";
import { receiveRequest } from "../warehouse/requests/store.ts";
import { Vault } from "../warehouse/vault.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { testKeys } from "./landing.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";

/** Data from before a person was erased and the keys were rotated, restored with the vault of today. */
let directory: string;
let pipeline: Pipeline;
let graph: Graph;
let target: TestDatabase;
let data: string;
/** Tokens of the erased person. */
let tokens: string[];

const rowsOf = async (pool: pg.Pool, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
  (await pool.query<Record<string, unknown>>(sql, values)).rows;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-restored-"));
  await writeErasureProject(directory);
  await writeRows(directory, shopRows());
  pipeline = await openPipeline(directory);
  await pipeline.run();
  const files = await loadSqlTree(join(PACKAGE_DIRECTORY, "sql"), directory);
  graph = await loadProjectGraph(files, await pipeline.project());
  data = await keep("data");
  const { pool, vault } = pipeline;
  const mine = await rowsOf(
    pool,
    `select token from core.identifiers where customer_id = (select customer_id from core.identifiers where token = $1)`,
    [vault.naming.token("email", CANARY.email)],
  );
  tokens = mine.map(({ token }) => String(token));
  const requestId = await receiveRequest(pool, vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    dueAt: null,
    notBefore: null,
    identifiers: [{ kind: "email", canonical: CANARY.email }],
    actor: "test",
  });
  await execute("eraseSubject", erasureWorkflowId(requestId), { requestId, actor: "test", approvedBy: "test" });
  await execute("rotateKeys", "keys", { actor: "test" });
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});
beforeEach(async () => {
  target = await createTestDatabase();
  return async () => await target.drop();
});

const execute = (type: string, workflowId: string, input: unknown): Promise<unknown> =>
  pipeline.client.workflow.execute(type, { workflowId, taskQueue: TASK_QUEUE, args: [input] });
const rekey = (type: string): Promise<unknown> => execute(type, REKEY_WORKFLOW_ID, { actor: "test" });

let kept = 0;
async function keep(part: Part): Promise<string> {
  const path = join(directory, `${(kept += 1)}.${part}`);
  const remembered = graph.steps.flatMap((step) => (step.kind === "node" ? (step.node.remembers ?? []) : []));
  const options = { parts: [part], project: "erasures", remembered, pathOf: () => path };
  await writeBackup(pipeline.pool, pipeline.vault, options);
  return path;
}

async function restore() {
  const [dataPart, vaultPart] = [
    await openBackupFile(data, "data"),
    await openBackupFile(await keep("vault"), "vault"),
  ];
  await checkParts(dataPart, vaultPart, testKeys);
  const project = await pipeline.project();
  const facts = keptFacts(graph, project);
  const options = { url: target.url, data: dataPart, vault: vaultPart, actor: "test", facts };
  const lost = await restoreState(target.pool, options);
  const pools = openPools(target.url);
  const vault = await Vault.open(pools.loader, testKeys);
  await rebuild(pools, vault, graph, project, () => undefined);
  await Promise.all(Object.values(pools).map((pool) => pool.end()));
  return { lost, vault };
}

/** Every row of the mart and every record's owner, whatever tokens are called and whenever it was built. */
async function figures(pool: pg.Pool): Promise<Record<string, string[]>> {
  const tables = await rowsOf(
    pool,
    "select schemaname || '.' || tablename as name from pg_tables where schemaname = 'mart' or (schemaname, tablename) = ('core', 'record_owners') order by 1",
  );
  const found: Record<string, string[]> = {};
  for (const { name } of tables) {
    const rows = await rowsOf(
      pool,
      `select regexp_replace((to_jsonb(t) - 'changed_xid')::text, '[a-z_]+_[0-9a-f]{32}', 'token', 'g') as line from ${String(name)} as t`,
    );
    found[String(name)] = rows.map(({ line }) => String(line)).toSorted();
  }
  return found;
}

/** Relations in which something of the erased person stands, by name, number or token. */
async function traces(pool: pg.Pool): Promise<string[]> {
  const hexes = tokens.map((token) => token.slice(token.lastIndexOf("_") + 1));
  const sought = [...hexes, "canary", "Zzyzx", "15199990001"].join("|");
  const tables = await rowsOf(
    pool,
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
  );
  const found: string[] = [];
  for (const { name } of tables) {
    if ((await rowsOf(pool, `select from ${String(name)} as t where t::text ~ $1 limit 1`, [sought])).length > 0)
      found.push(String(name));
  }
  return found;
}

test("after an erasure and a rotation it is what the warehouse is now: nothing of the person, and every order's credit", async () => {
  expect(tokens).toHaveLength(4);
  const { lost, vault } = await restore();
  expect(lost.identifiers).toBe(4);
  expect(await traces(target.pool)).toEqual([]);
  expect(await figures(target.pool)).toEqual(await figures(pipeline.pool));
  const kept = await rowsOf(
    target.pool,
    "select sum(amount)::text as amount from ops.kept_credit where model = 'last'",
  );
  expect(kept).toEqual([{ amount: "30.01" }]);
  const raw = "select id, customer is null as parted, amount::text from raw.shop__orders order by amount, record_key";
  expect(await rowsOf(target.pool, raw)).toEqual(await rowsOf(pipeline.pool, raw));
  const control = vault.naming.token("email", CONTROL.email);
  expect((await vault.openIdentifiers(target.pool, [control])).get(control)?.canonical).toBe(CONTROL.email);
});

test("after a re-keying it takes the new names, and once the former key is retired it is refused in a sentence", async () => {
  await rekey("rekeyTokens");
  const { lost } = await restore();
  expect(lost.identifiers).toBe(4);
  expect(await traces(target.pool)).toEqual([]);
  expect(await figures(target.pool)).toEqual(await figures(pipeline.pool));
  expect(await rekey("retireTokens")).toBe(true);
  await expect(restore()).rejects.toThrow(
    /are from before identifiers got tokens under a new key \(miette keys rekey\), .* has retired the former one/,
  );
});
