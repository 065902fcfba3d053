import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KeyRing } from "../../privacy/keys.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault, syncPages, testKeys, testStream } from "../../test/landing.ts";
import { recordAudit, verifyAudit } from "../audit.ts";
import { inTransaction, openPool } from "../database.ts";
import { Vault } from "../vault.ts";
import { openBackupFile, type Part } from "./file.ts";
import { checkParts, restoreState, type RestoreOptions } from "./restore.ts";
import { DERIVED_SCHEMAS, STATE_SCHEMAS } from "./tables.ts";
import { describeTarget, requireAlone } from "./target.ts";
import { writeBackup } from "./write.ts";

const SCHEMA = {
  type: "object" as const,
  required: ["id"],
  properties: {
    id: { type: "integer" as const },
    email: { type: "string" as const, personal: "email" as const, identifier: "email" },
    name: { type: "string" as const, personal: "name" as const },
    amount: { type: "number" as const, decimal: [12, 2] as [number, number] },
    note: { type: "string" as const },
  },
};

let folder: string;
let source: TestDatabase;
let vault: Vault;
let target: TestDatabase;
const stream = { ...testStream(SCHEMA), name: "orders" };

const record = (id: number) => ({
  id,
  email: `p${id}@example.org`,
  name: `Ann ${id}`,
  amount: id + 0.5,
  note: `é\t"${id}"`,
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "miette-backup-"));
  source = await createTestDatabase();
  vault = await openTestVault(source.pool);
  await syncPages(source.pool, vault, stream, [{ records: [1, 2, 3, 4].map(record) }]);
  await syncPages(source.pool, vault, stream, [{ records: [{ ...record(4), note: "another" }] }]);
  await inTransaction(source.pool, (client) => recordAudit(client, { actor: "test", action: "first" }));
});

afterAll(async () => {
  await source.drop();
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  target = await createTestDatabase();
  return async () => await target.drop();
});

async function backup(name: string): Promise<Record<Part, string>> {
  const pathOf = (part: Part): string => join(folder, `${name}.${part}`);
  await writeBackup(source.pool, vault, { parts: ["data", "vault"], project: "shop", remembered: [], pathOf });
  return { data: pathOf("data"), vault: pathOf("vault") };
}

async function restore(files: Record<Part, string>, options: Partial<RestoreOptions> = {}) {
  const [data, vaultPart] = [await openBackupFile(files.data, "data"), await openBackupFile(files.vault, "vault")];
  await checkParts(data, vaultPart, testKeys);
  return await restoreState(target.pool, {
    url: target.url,
    data,
    vault: vaultPart,
    actor: "test",
    facts: new Map([["raw.shop__orders", []]]),
    ...options,
  });
}

async function rowsOf({ pool }: TestDatabase, sql: string): Promise<unknown[]> {
  return (await pool.query(sql)).rows;
}

describe("a backup", () => {
  test("brings rows, their history, keys, epoch and audit back as they were", async () => {
    expect(await restore(await backup("whole"))).toEqual({ identifiers: 0, rows: 0 });
    for (const sql of [
      "select id, email, amount, note, record_key, version, content_hash, sealed, owner_token, reload, landed_at, record_seq from raw.shop__orders order by id",
      "select * from raw.shop__orders__history order by id",
      "select * from vault.identifiers order by token",
      "select * from vault.keys order by purpose",
      "select * from privacy.epoch",
      "select * from ops.pages order by sync_id",
      "select * from ops.cursors",
    ]) {
      const expected = await rowsOf(source, sql);
      expect(await rowsOf(target, sql), sql).toEqual(expected);
      expect(sql.includes("cursors") || expected.length > 0, sql).toBe(true);
    }
    const verdict = await inTransaction(target.pool, (client) => verifyAudit(client));
    expect(verdict).toMatchObject({ firstBad: null, lines: 2 });
  });

  test("lands on: the next sync writes only what is new, under numbers after the restored ones", async () => {
    await restore(await backup("lands"));
    const restored = await Vault.open(target.pool, testKeys);
    const report = await syncPages(target.pool, restored, stream, [
      { records: [record(1), record(2), record(3), record(7)] },
    ]);
    expect(report).toMatchObject({ inserted: 1, updated: 0, unchanged: 3 });
    const [row] = await rowsOf(
      target,
      "select count(distinct record_seq)::int as n, count(*)::int as total from raw.shop__orders",
    );
    expect(row).toEqual({ n: 5, total: 5 });
  });

  test("is refused when it is cut short, altered, another part, or no backup, before anything is touched", async () => {
    const { data, vault: vaultPath } = await backup("broken");
    const bytes = await readFile(data);
    const cases: [string, Buffer, RegExp][] = [
      ["cut", bytes.subarray(0, bytes.length - 100), /cut short or was altered/],
      ["begun", bytes.subarray(0, 30), /cut short or was altered/],
      ["altered", Buffer.from(bytes).fill(bytes[200]! ^ 1, 200, 201), /cut short or was altered/],
      [
        "signature",
        Buffer.from(bytes).fill(bytes.at(-40)! ^ 1, bytes.length - 40, bytes.length - 39),
        /cut short or was altered/,
      ],
      ["empty", Buffer.alloc(0), /no backup/],
      ["text", Buffer.from("select 1;\n".repeat(50)), /no backup/],
    ];
    for (const [name, content, message] of cases) {
      const path = join(folder, name);
      await writeFile(path, content);
      await expect(openBackupFile(path, "data"), name).rejects.toThrow(message);
    }
    await expect(openBackupFile(vaultPath, "data")).rejects.toThrow(/this is the vault part/);
    await expect(openBackupFile(join(folder, "absent"), "data")).rejects.toThrow(/no such file/);
    expect(await describeTarget(target.pool)).toBe("empty");
  });

  test("that somebody forged with a right checksum is refused, since it lacks the vault's mark", async () => {
    const files = await backup("forged");
    const bytes = await readFile(files.data);
    bytes.fill(bytes.at(-1)! ^ 1, bytes.length - 1);
    await writeFile(files.data, bytes);
    await expect(restore(files)).rejects.toThrow(/another vault, or altered since/);
  });

  test("needs the key under which its vault was kept", async () => {
    const { data, vault: vaultPath } = await backup("key");
    const other = new KeyRing({
      place: "memory",
      read: async () => randomBytes(32),
      create: async () => undefined,
      destroy: async () => undefined,
    });
    const parts = [await openBackupFile(data, "data"), await openBackupFile(vaultPath, "vault")] as const;
    await expect(checkParts(...parts, other)).rejects.toThrow(/the key is not the one/);
  });

  test("does not go with the vault of another warehouse", async () => {
    const { data } = await backup("mine");
    const other = await createTestDatabase();
    const pathOf = (part: Part): string => join(folder, `theirs.${part}`);
    await writeBackup(other.pool, await openTestVault(other.pool), {
      parts: ["vault"],
      project: "shop",
      remembered: [],
      pathOf,
    });
    await other.drop();
    await expect(restore({ data, vault: pathOf("vault") })).rejects.toThrow(/made with another vault/);
  });

  test("does not go with a vault that was written while tokens were being renamed", async () => {
    await source.pool.query("update privacy.epoch set moving_xid = pg_current_xact_id()");
    const files = await backup("renaming");
    await source.pool.query("update privacy.epoch set moving_xid = null");
    await expect(restore(files)).rejects.toThrow(
      /while stored identifiers got tokens under a new key; run miette keys rekey/,
    );
    expect(await describeTarget(target.pool)).toBe("empty");
  });

  test("does not go with an older vault", async () => {
    const older = await backup("older");
    const newer = await backup("newer");
    await expect(restore({ data: newer.data, vault: older.vault })).rejects.toThrow(/older than the data/);
  });
});

describe("a restore", () => {
  test("with a newer vault parts the rows from people who were erased since", async () => {
    const { data } = await backup("before");
    const token = vault.naming.token("email", "p2@example.org");
    const { rows } = await source.pool.query("delete from vault.identifiers where token = $1 returning *", [token]);
    await source.pool.query("update privacy.epoch set epoch = epoch + 1");
    const later = await backup("after");
    await source.pool.query(
      "insert into vault.identifiers select * from json_populate_recordset(null::vault.identifiers, $1)",
      [
        JSON.stringify(
          rows.map((row: Record<string, unknown>) => ({
            ...row,
            wrapped_key: `\\x${(row["wrapped_key"] as Buffer).toString("hex")}`,
            sealed: `\\x${(row["sealed"] as Buffer).toString("hex")}`,
          })),
        ),
      ],
    );
    expect(await restore({ data, vault: later.vault })).toEqual({ identifiers: 1, rows: 1 });
    expect(
      await rowsOf(
        target,
        "select id::int, email is null as parted, sealed is null as closed, owner_token, amount::float8 from raw.shop__orders order by id",
      ),
    ).toEqual(
      [1, 2, 3, 4].map((id) => ({
        id,
        parted: id === 2,
        closed: id === 2,
        owner_token: id === 2 ? null : vault.naming.token("email", `p${id}@example.org`),
        amount: id + 0.5,
      })),
    );
    expect(await rowsOf(target, "select epoch from privacy.epoch")).toEqual(
      await rowsOf(source, "select epoch from privacy.epoch"),
    );
  });

  test("that is cut off turns everybody away until it has been run to its end, anew", async () => {
    const files = await backup("cut-off");
    let tables = 0;
    const onTable = (): void => {
      if (++tables === 20) throw new Error("cut off");
    };
    await expect(restore(files, { onTable })).rejects.toThrow("cut off");
    expect(await describeTarget(target.pool)).toBe("unfinished");
    await expect(Vault.open(target.pool, testKeys)).rejects.toThrow(/run miette restore to its end/);
    await restore(files);
    expect(await describeTarget(target.pool)).toBe("living");
    expect(await rowsOf(target, "select count(*)::int as n from raw.shop__orders")).toEqual([{ n: 4 }]);
  });

  test("replaces whatever the warehouse held", async () => {
    const other = testStream(SCHEMA);
    await syncPages(target.pool, await openTestVault(target.pool, source.pool), other, [{ records: [record(9)] }]);
    await restore(await backup("replaces"));
    expect(await rowsOf(target, "select tablename from pg_tables where schemaname = 'raw' order by 1")).toEqual([
      { tablename: "shop__orders" },
      { tablename: "shop__orders__history" },
    ]);
  });

  test("waits for nobody: others who are connected are named", async () => {
    const other = openPool(target.url, { name: "worker" });
    await other.query("select 1");
    await expect(requireAlone(target.pool)).rejects.toThrow(/others are connected to the warehouse \(miette worker\)/);
    await other.end();
    await requireAlone(target.pool);
  });

  test("knows every schema that the migrations make", async () => {
    const own = [...STATE_SCHEMAS.data, ...STATE_SCHEMAS.vault, ...DERIVED_SCHEMAS].toSorted();
    const found = await rowsOf(
      target,
      "select nspname as name from pg_namespace where nspname !~ '^(pg_|information_schema$|public$)' order by 1",
    );
    expect(found).toEqual(own.map((name) => ({ name })));
  });
});
