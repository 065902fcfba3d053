import type pg from "pg";
import type { ClientBase } from "pg";
import { to as copyTo } from "pg-copy-streams";
import { CodedError } from "../../domain/errors.ts";
import { inTransaction, quoteName } from "../database.ts";
import type { Vault } from "../vault.ts";
import { type Manifest, type Part, writeBackupFile } from "./file.ts";
import {
  describeTables,
  KEPT_WITH_VAULT,
  keptColumns,
  nameOf,
  STATE_SCHEMAS,
  type TableDescription,
} from "./tables.ts";

/** The vault's key that proves that a backup is this warehouse's own. */
export const BACKUP_KEY = "backup";

export interface WrittenPart {
  part: Part;
  path: string;
  bytes: number;
  tables: number;
  rows: number;
}

export interface BackupOptions {
  parts: readonly Part[];
  project: string;
  /** Relations of core and mart whose rows can't be computed from raw alone. */
  remembered: readonly string[];
  /** Absolute paths of the files, given the moment of the snapshot. */
  pathOf(part: Part, takenAt: string): string;
  /** Called with each table's name and rows as it is done. */
  onTable?(part: Part, table: string, rows: number): void;
}

/** Tables may come between listing and locking them, while new streams are synced. */
const ATTEMPTS = 5;

/**
 * Writes the parts of a backup from one snapshot, while syncs and builds go on; only what changes a table's shape waits.
 * Rows stream through, so memory does not grow with them.
 */
export async function writeBackup(pool: pg.Pool, vault: Vault, options: BackupOptions): Promise<WrittenPart[]> {
  const key = await vault.purposeKey(pool, BACKUP_KEY);
  for (let attempt = 1; ; attempt++) {
    const listed = await describeParts(pool, options.remembered);
    const written = await inTransaction(
      pool,
      async (client) => {
        // Before the first query, by which the snapshot is taken: no table can change its shape between the two.
        const names = namesOf(listed).map(({ schema, name }) => quoteName(schema, name));
        await client.query(`lock table ${names.join(", ")} in access share mode`);
        const tables = await describeParts(client, options.remembered);
        const isSame = namesOf(tables).map(nameOf).join() === namesOf(listed).map(nameOf).join();
        return isSame ? await writeParts(client, key, tables, options) : null;
      },
      "begin isolation level repeatable read read only",
    );
    if (written) return written;
    if (attempt === ATTEMPTS) {
      throw new CodedError("warehouse_statement", "tables kept coming and going while they were listed; try again.", {
        retryable: true,
      });
    }
  }
}

type Tables = Record<Part, TableDescription[]>;

async function describeParts(client: pg.Pool | ClientBase, remembered: readonly string[]): Promise<Tables> {
  return {
    data: await describeTables(client, STATE_SCHEMAS.data, remembered, KEPT_WITH_VAULT),
    vault: await describeTables(client, STATE_SCHEMAS.vault, KEPT_WITH_VAULT),
  };
}

function namesOf({ data, vault }: Tables): TableDescription[] {
  return [...data, ...vault];
}

async function writeParts(
  client: ClientBase,
  key: Buffer,
  tables: Tables,
  options: BackupOptions,
): Promise<WrittenPart[]> {
  const common = await readManifest(client, options.project);
  const written: WrittenPart[] = [];
  for (const part of options.parts) {
    const path = options.pathOf(part, common.takenAt);
    let rows = 0;
    const copies = function* (): Generator<AsyncGenerator<Buffer, number>> {
      for (const table of tables[part]) {
        yield copyTable(client, table, (count) => {
          rows += count;
          options.onTable?.(part, nameOf(table), count);
        });
      }
    };
    const { bytes } = await writeBackupFile(path, { ...common, part, tables: tables[part] }, key, copies);
    written.push({ part, path, bytes, tables: tables[part].length, rows });
  }
  return written;
}

async function readManifest(client: ClientBase, project: string): Promise<Omit<Manifest, "part" | "tables">> {
  const { rows } = await client.query<{
    takenAt: string;
    migrations: string[];
    epoch: string;
    tokenKeys: number[];
    isRenaming: boolean;
    generation: number;
    wrapped: Buffer;
  }>(
    `select to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "takenAt",
       (select array_agg(name order by id) from ops.migrations) as migrations,
       (select epoch::text from privacy.epoch) as epoch,
       (select moving_xid is not null from privacy.epoch) as "isRenaming",
       (select array_agg(version order by version) from vault.keys where purpose = 'token') as "tokenKeys", k.generation, k.wrapped_key as wrapped
     from vault.keys k where k.purpose = $1 order by k.version desc limit 1`,
    [BACKUP_KEY],
  );
  const [row] = rows;
  if (!row) throw new Error("the vault has no key for backups");
  const { generation, wrapped, ...rest } = row;
  return { project, ...rest, key: { generation, wrapped: wrapped.toString("base64") } };
}

async function* copyTable(
  client: ClientBase,
  table: TableDescription,
  onRows: (rows: number) => void,
): AsyncGenerator<Buffer, number> {
  const quoted = quoteName(table.schema, table.name);
  const stream = client.query(copyTo(`copy ${quoted} ${keptColumns(table)} to stdout (format binary)`));
  yield* stream as AsyncIterable<Buffer>;
  // The stream ends with the last row; the server's count comes after it, and before the answer to another query.
  await client.query("select");
  onRows(stream.rowCount);
  return stream.rowCount;
}
