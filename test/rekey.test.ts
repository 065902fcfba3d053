import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCause } from "@temporalio/common";
import { afterAll, beforeAll, expect, test } from "vitest";
import { erasureWorkflowId, REKEY_WORKFLOW_ID, TASK_QUEUE } from "../domain/ids.ts";
import type { TokenRekeying } from "../domain/runs.ts";
import { inTransaction } from "../warehouse/database.ts";
import { readEpoch } from "../warehouse/epoch.ts";
import { resolveScope } from "../warehouse/erasure/scope.ts";
import { beginRekeying, closeForRenaming, mapIdentifiers, renameAll } from "../warehouse/rekey/rekey.ts";
import { receiveRequest } from "../warehouse/requests/store.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "./erasure-project.ts";
import { openPipeline, type Pipeline } from "./pipeline.ts";
import { say } from "./say.ts";

let directory: string;
let pipeline: Pipeline;
const LATER = "later@unknown.test";
const HELD = "held@unknown.test";
const query = async (sql: string, values: unknown[] = []) =>
  (await pipeline.pool.query(sql, values)).rows as Record<string, unknown>[];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-rekey-"));
  await writeErasureProject(directory);
  const customers = join(directory, "schemas/customers.yaml");
  await writeFile(customers, `${await readFile(customers, "utf8")}match_keys:\n  name_country: [name, country]\n`);
  const rows = shopRows();
  // A tablet that five people use is an identifier that is hidden: one table's tokens refer to another's.
  for (let i = 0; i < 5; i += 1)
    rows["events"]?.push({
      id: 900 + i,
      device: "tablet",
      email: `c${100 + i}@crowd.test`,
      at: "2026-02-12T09:00:00Z",
    });
  await writeRows(directory, rows);
  pipeline = await openPipeline(directory);
  await pipeline.run();
});
afterAll(async () => {
  await pipeline.close();
  await rm(directory, { recursive: true });
});

const rekey = <T>(type: string) =>
  pipeline.client.workflow.execute(type, {
    workflowId: REKEY_WORKFLOW_ID,
    taskQueue: TASK_QUEUE,
    args: [{ actor: "test" }],
  }) as Promise<T>;

/** Every row of the mart and every record's owner, whatever tokens are called. */
async function figures(): Promise<Record<string, string[]>> {
  const tables = await query(
    "select schemaname || '.' || tablename as name from pg_tables where schemaname = 'mart' or (schemaname, tablename) = ('core', 'record_owners') order by 1",
  );
  const found: Record<string, string[]> = {};
  for (const { name } of tables) {
    const rows = await query(
      `select regexp_replace((to_jsonb(t) - 'changed_xid')::text, '[a-z_]+_[0-9a-f]{32}', 'token', 'g') as line from ${String(name)} as t`,
    );
    found[String(name)] = rows.map(({ line }) => String(line)).toSorted();
  }
  return found;
}

/** Tables in which a text stands, the list of changed names apart. */
async function holders(text: string): Promise<unknown[]> {
  const tables = await query(
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname !~ '^(pg_|information)' and tablename <> 'token_changes'",
  );
  const found: unknown[] = [];
  for (const { name } of tables) {
    if ((await query(`select from ${String(name)} as t where strpos(t::text, $1) > 0 limit 1`, [text])).length > 0)
      found.push(name);
  }
  return found;
}

const saidOf = (email: string) =>
  query(
    "select choice from privacy.consent_identifiers join privacy.consent_events using (event_id) where token = $1",
    [pipeline.vault.naming.token("email", email)],
  );

test("tokens get a new key: people, figures, suppressions and what was said stay, also when it is cut off midway", async () => {
  const { pool, vault } = pipeline;
  const requestId = await receiveRequest(pool, vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    dueAt: null,
    notBefore: null,
    identifiers: [{ kind: "email", canonical: CANARY.email }],
    actor: "test",
  });
  await pipeline.client.workflow.execute("eraseSubject", {
    workflowId: erasureWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, actor: "test", approvedBy: "test" }],
  });
  await say(pipeline, LATER, { choice: "objection" });
  await query(
    `with held as (insert into privacy.holds (category, purpose, law) values ('orders', 'litigation', 'ZPO') returning hold_id)
     insert into privacy.hold_identifiers (hold_id, token) select hold_id, $1 from held`,
    [vault.naming.token("email", HELD)],
  );
  await pipeline.build();
  expect(await query("select from core.hidden_identifiers")).toHaveLength(5);
  const before = await figures();
  const formerly = vault.naming.token("email", CONTROL.email);
  const matchKeys = await query("select name_country from raw.shop__customers where name_country is not null");
  expect(matchKeys.length).toBeGreaterThan(30);

  await beginRekeying(pool, vault, "test");
  await mapIdentifiers(pool, vault);
  await closeForRenaming(pool);
  await expect(inTransaction(pool, readEpoch)).rejects.toMatchObject({ code: "warehouse_unavailable" });
  let calls = 0;
  const cutOff = renameAll(pool, vault, () => {
    calls += 1;
    if (calls > 12) throw new Error("cut off");
  });
  await expect(cutOff).rejects.toThrow("cut off");
  const report = await rekey<TokenRekeying>("rekeyTokens");

  // One has objected and one is held, and neither has landed.
  expect(report.unknown).toBe(2);
  await expect(rekey("retireTokens").catch((error: Error) => rootCause(error.cause))).resolves.toContain(
    "2 identifiers of the consent ledger or of holds",
  );
  const now = pipeline.vault.naming.token("email", CONTROL.email);
  expect(now).not.toBe(formerly);
  expect(await holders(now)).toEqual(
    expect.arrayContaining(["vault.identifiers", "core.identifiers", "raw.shop__customers"]),
  );
  for (const former of [formerly, matchKeys[0]?.["name_country"]]) expect(await holders(String(former))).toEqual([]);
  expect(await figures()).toEqual(before);

  await writeRows(directory, {
    ...shopRows(),
    reviews: [
      ...(shopRows()["reviews"] ?? []),
      { id: 3, email: LATER, stars: 4, text: "new here" },
      { id: 4, email: HELD, stars: 5, text: "new too" },
    ],
  });
  await pipeline.run({ full: true });
  await pipeline.build({ full: true });
  const after = await figures();
  expect(after["mart.fct_orders"]).toEqual(before["mart.fct_orders"]);
  const known = new Set(before["core.record_owners"]);
  expect(after["core.record_owners"]?.filter((owner) => !known.has(owner))).toHaveLength(2);
  expect(
    await query("select from vault.identifiers where token = $1", [vault.naming.token("email", CANARY.email)]),
  ).toEqual([]);
  expect(await saidOf(LATER)).toEqual([{ choice: "objection" }]);
  expect(await query("select token from privacy.hold_identifiers")).toEqual([
    { token: vault.naming.token("email", HELD) },
  ]);
  expect((await resolveScope(pool, vault, [{ kind: "email", canonical: CONTROL.email }])).tokens).toHaveLength(4);

  await expect(rekey("rekeyTokens").catch((error: Error) => rootCause(error.cause))).resolves.toContain(
    "the former token key is still kept",
  );
  expect(await rekey("retireTokens")).toBe(true);
  expect(await query("select version from vault.keys where purpose like 'token%'")).toEqual([{ version: 2 }]);
  expect(await query("select from vault.token_changes")).toEqual([]);
  expect(await rekey("retireTokens")).toBe(false);
});
