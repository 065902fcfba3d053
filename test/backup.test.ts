import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadSqlTree, PACKAGE_DIRECTORY } from "../config.ts";
import { openBackupFile, readTables, type Part } from "../warehouse/backup/file.ts";
import { openPools } from "../warehouse/database.ts";
import { keptFacts } from "../warehouse/erasure/kept-facts.ts";
import { rebuild } from "../warehouse/backup/rebuild.ts";
import { checkParts, restoreState } from "../warehouse/backup/restore.ts";
import { writeBackup } from "../warehouse/backup/write.ts";
import type { Graph } from "../warehouse/models/graph.ts";
import { loadProjectGraph } from "../warehouse/models/project-graph.ts";
import { Vault } from "../warehouse/vault.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { openDemo } from "./demo.ts";
import { testKeys } from "./landing.ts";

let demo: Awaited<ReturnType<typeof openDemo>>;
let graph: Graph;
let folder: string;
let target: TestDatabase;

beforeAll(async () => {
  demo = await openDemo();
  await demo.pipeline.run();
  const project = await demo.pipeline.project();
  graph = await loadProjectGraph(
    await loadSqlTree(join(PACKAGE_DIRECTORY, "sql"), join(PACKAGE_DIRECTORY, "demo")),
    project,
  );
  folder = await mkdtemp(join(tmpdir(), "miette-backup-"));
  target = await createTestDatabase();
}, 300_000);

afterAll(async () => {
  await target.drop();
  await rm(folder, { recursive: true });
  await demo.close();
});

async function backup(name: string, parts: Part[] = ["data", "vault"]): Promise<Record<Part, string>> {
  const pathOf = (part: Part): string => join(folder, `${name}.${part}`);
  await writeBackup(demo.pipeline.pool, demo.pipeline.vault, {
    parts,
    project: "demo",
    remembered: graph.steps.flatMap((step) => (step.kind === "node" ? (step.node.remembers ?? []) : [])),
    pathOf,
  });
  return { data: pathOf("data"), vault: pathOf("vault") };
}

async function restore(files: { data: string; vault: string }, onTable?: () => void) {
  const data = await openBackupFile(files.data, "data");
  const vault = await openBackupFile(files.vault, "vault");
  await checkParts(data, vault, testKeys);
  const lost = await restoreState(target.pool, {
    url: target.url,
    data,
    vault,
    actor: "test",
    facts: keptFacts(graph, await demo.pipeline.project()),
    ...(onTable ? { onTable } : {}),
  });
  const pools = openPools(target.url);
  const restored = await Vault.open(pools.loader, testKeys);
  await rebuild(pools, restored, graph, await demo.pipeline.project(), () => undefined);
  await Promise.all(Object.values(pools).map((pool) => pool.end()));
  return { lost, vault: restored };
}

/** Each relation of some schemas: its rows, and a hash of their text. */
async function contents(pool: pg.Pool, schemas: string[]): Promise<Record<string, string>> {
  const { rows } = await pool.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any ($1) and c.relkind in ('r', 'v') order by 1`,
    [schemas],
  );
  const found: Record<string, string> = {};
  for (const { name } of rows) {
    const all = await pool.query<{ text: string }>(
      `select count(*) || ' ' || coalesce(md5(string_agg(t, '|' order by t)), '') as text from (select (to_jsonb(r) - 'landed_xid')::text as t from ${name} as r) as rows`,
    );
    found[name] = all.rows[0]!.text;
  }
  return found;
}

describe("a backup of the demo store, restored into an empty warehouse", () => {
  let files: Record<Part, string>;
  let restored: Vault;

  beforeAll(async () => {
    files = await backup("first");
    restored = (await restore(files)).vault;
  }, 300_000);

  test("gives the same mart, in every relation", async () => {
    const before = await contents(demo.pipeline.pool, ["mart", "core"]);
    expect(Object.keys(before).length).toBeGreaterThan(30);
    expect(await contents(target.pool, ["mart", "core"])).toEqual(before);
  });

  test("gives the same raw rows, quarantine, cursors and vault", async () => {
    const of = async (pool: pg.Pool) => {
      const {
        "ops.relation_state": _state,
        "ops.builds": _builds,
        "ops.build_relations": _relations,
        "ops.notes": _notes,
        ...rest
      } = await contents(pool, ["raw", "ops", "vault"]);
      delete rest["ops.migrations"];
      delete rest["ops.migrations_lock"];
      return rest;
    };
    expect(await of(target.pool)).toEqual(await of(demo.pipeline.pool));
  });

  test("opens the vault's identifiers with the same keys", async () => {
    const canonical: string[] = [];
    for await (const batch of restored.identifiers(target.pool, ["email"]))
      canonical.push(...batch.map((each) => each.canonical));
    expect(canonical.length).toBeGreaterThan(100);
    expect(canonical.every((each) => each.includes("@"))).toBe(true);
  });

  test("has the keys, indexes, rights and guards of the original", async () => {
    const describeSchemas = async (pool: pg.Pool) => {
      const { rows } = await pool.query<{ facts: string[] }>(
        `select array[c.oid::regclass::text || ' of ' || c.relowner::regrole::text]
           || array(select fact from (
                select g.grantee::regrole::text || ' ' || g.privilege_type from aclexplode(c.relacl) g where g.grantee <> current_user::regrole
                union all select pg_get_indexdef(i.indexrelid) from pg_index i where i.indrelid = c.oid
                union all select pg_get_constraintdef(k.oid) from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n'
                union all select t.tgname || ' ' || t.tgenabled::text from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal
              ) as facts (fact) order by fact) as facts
         from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any ($1) and c.relkind = 'r' order by 1`,
        [["raw", "ops", "vault", "privacy", "core", "mart"]],
      );
      return rows.map(({ facts }) => facts);
    };
    expect(await describeSchemas(target.pool)).toEqual(await describeSchemas(demo.pipeline.pool));
  });

  test("draws new numbers after the restored ones", async () => {
    const { rows } = await target.pool.query<{ next: string; last: string }>(
      `select nextval(pg_get_serial_sequence('raw.shop__orders', 'record_seq'))::text as next, max(record_seq)::text as last from raw.shop__orders`,
    );
    expect(BigInt(rows[0]!.next)).toBeGreaterThan(BigInt(rows[0]!.last));
  });

  test("has an audit whose chain is whole, with the restore as its last line", async () => {
    const { rows } = await target.pool.query("select action from privacy.audit order by happened_at desc limit 1");
    expect(rows).toEqual([{ action: "backup.restore" }]);
  });

  test("leaves a second build nothing to do", async () => {
    const { planBuild } = await import("../warehouse/models/plan.ts");
    const plan = await planBuild(target.pool, graph, { dry: true });
    expect(plan.relations.filter(({ action }) => action !== "skip")).toEqual([]);
  });

  test("lies in files for their owner alone, without keys and without plaintext", async () => {
    for (const path of Object.values(files)) {
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    }
    expect((await readdir(folder)).filter((name) => name.endsWith(".partial"))).toEqual([]);
    const data = await openBackupFile(files.data, "data");
    const text: Buffer[] = [];
    for await (const { table, data: rows } of readTables(data)) {
      for (let next = await rows.next(); !next.done; next = await rows.next()) {
        if (table.schema === "raw") text.push(next.value);
      }
    }
    const whole = Buffer.concat(text);
    // Short ones could stand in ciphertext by chance.
    const plain: string[] = [];
    for await (const batch of restored.identifiers(target.pool, ["email", "phone"])) {
      plain.push(...batch.map(({ canonical }) => canonical).filter(({ length }) => length >= 10));
    }
    expect(plain.length).toBeGreaterThan(100);
    expect(plain.slice(0, 300).filter((each) => whole.includes(each))).toEqual([]);
    expect(data.manifest.tables.map(({ schema }) => schema)).not.toContain("vault");
  });
});
