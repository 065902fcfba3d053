import type pg from "pg";
import type { ClientBase } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { UserError } from "../../domain/errors.ts";
import type { KeyEncryption } from "../../privacy/keys.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction, quoteName } from "../database.ts";
import { migrate, migrationNames } from "../migrate.ts";
import { renameStored } from "../rekey/stored.ts";
import { type BackupFile, readTables, requireAuthentic } from "./file.ts";
import { dropLostIdentifiers, type LostIdentifiers } from "./lost-identifiers.ts";
import {
  advanceSequences,
  createTable,
  DERIVED_SCHEMAS,
  finishTable,
  keptColumns,
  nameOf,
  STATE_SCHEMAS,
  type TableDescription,
} from "./tables.ts";
import { UNFINISHED } from "./unfinished.ts";
import { BACKUP_KEY } from "./write.ts";

export interface RestoreOptions {
  /** The warehouse's URL as its owner. */
  url: string;
  data: BackupFile;
  /** The newest vault there is: never older than the data. */
  vault: BackupFile;
  /** Who restores, for the audit. */
  actor: string;
  /** Raw tables whose records outlive their person, with the open columns that they lose with it. */
  facts: ReadonlyMap<string, readonly string[]>;
  /** Called with each table's name and rows as it is done. */
  onTable?(table: string, rows: number): void;
}

/**
 * Whether two parts may be restored together, found out before anything is touched: both whole and unaltered, of one
 * warehouse, the vault opened by the key, not older than the data, and with the names of the identifiers in them.
 * @throws UserError
 */
export async function checkParts(data: BackupFile, vault: BackupFile, encryption: KeyEncryption): Promise<void> {
  const { generation, wrapped } = vault.manifest.key;
  let key: Buffer;
  try {
    await encryption.openGeneration(generation);
    key = encryption.unwrap(Buffer.from(wrapped, "base64"), generation, `purpose:${BACKUP_KEY}`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError("the key is not the one under which this vault was kept; restore needs that one", {
      file: vault.path,
    });
  }
  requireAuthentic(vault, key);
  requireAuthentic(data, key);
  if (vault.manifest.takenAt < data.manifest.takenAt) {
    throw new UserError(
      `the vault is of ${vault.manifest.takenAt}, older than the data of ${data.manifest.takenAt}; it would bring back people who have been erased since, so give the one that was written with the data, or a newer one`,
      { file: vault.path },
    );
  }
  requireNames(data, vault);
  const known = new Set(await migrationNames());
  for (const { path, manifest } of [data, vault]) {
    const unknown = manifest.migrations.find((name) => !known.has(name));
    if (!unknown) continue;
    throw new UserError(
      `the backup knows the migration ${unknown}, which this version does not; restore with a newer one`,
      {
        file: path,
      },
    );
  }
}

/**
 * Brings a warehouse to what the data part holds, with the keys and suppressions of the vault part. What was there is
 * dropped first. Everybody else is turned away until it is done ({@link UNFINISHED}); a restore that is cut off leaves
 * that mark, and begins anew when it is run again. Afterwards every model has work: nothing of the mart but what
 * nodes remember comes from a backup.
 */
export async function restoreState(pool: pg.Pool, options: RestoreOptions): Promise<LostIdentifiers> {
  const { url, data, vault } = options;
  await inTransaction(pool, async (client) => {
    await client.query(`create schema if not exists ${quoteName(UNFINISHED)}`);
    const schemas = [...STATE_SCHEMAS.data, ...STATE_SCHEMAS.vault, ...DERIVED_SCHEMAS].map((name) => quoteName(name));
    await client.query(`drop schema if exists ${schemas.join(", ")} cascade`);
  });
  // Each part lands under the migrations that it was kept under, so that those after it change its rows as they would have.
  await migrate(url, data.manifest.migrations);
  await inTransaction(pool, (client) => loadPart(client, data, options));
  await migrate(url, [...data.manifest.migrations, ...vault.manifest.migrations]);
  await inTransaction(pool, (client) => loadPart(client, vault, options));
  await migrate(url);
  // The vault still tells what identifiers are called now that were called otherwise when the data were kept.
  if (tokenKeyOf(vault) > tokenKeyOf(data)) await renameStored(pool);
  return await inTransaction(pool, async (client) => {
    const lost = await dropLostIdentifiers(client, rememberedIn(data), options.facts);
    await forgetRuns(client);
    // Until here everything belongs to who restores.
    await client.query("select ops.settle_privileges()");
    await recordAudit(client, {
      actor: options.actor,
      action: "backup.restore",
      detail: { data_taken_at: data.manifest.takenAt, vault_taken_at: vault.manifest.takenAt, lost: lost.identifiers },
    });
    await client.query(`drop schema ${quoteName(UNFINISHED)} cascade`);
    return lost;
  });
}

function requireNames(data: BackupFile, vault: BackupFile): void {
  if (vault.manifest.isRenaming) {
    throw new UserError(
      "this vault was written while stored identifiers got tokens under a new key; run miette keys rekey to its end, or give a vault from before or after it",
      { file: vault.path },
    );
  }
  if (tokenKeysOf(vault).includes(tokenKeyOf(data))) return;
  throw new UserError(
    `the data of ${data.manifest.takenAt} are from before identifiers got tokens under a new key (miette keys rekey), and the vault of ${vault.manifest.takenAt} has retired the former one, so it knows nobody in them; restore data that were backed up since`,
    { file: data.path },
  );
}

function tokenKeysOf({ manifest }: BackupFile): number[] {
  return manifest.tokenKeys ?? [1];
}

function tokenKeyOf(file: BackupFile): number {
  return Math.max(...tokenKeysOf(file));
}

function rememberedIn({ manifest }: BackupFile): TableDescription[] {
  return manifest.tables.filter(({ schema }) => DERIVED_SCHEMAS.includes(schema));
}

async function loadPart(client: ClientBase, part: BackupFile, { onTable }: RestoreOptions): Promise<void> {
  const made: TableDescription[] = [];
  const found: string[] = [];
  for (const table of part.manifest.tables) {
    const quoted = quoteName(table.schema, table.name);
    const { rows } = await client.query<{ isThere: boolean }>(`select to_regclass($1) is not null as "isThere"`, [
      quoted,
    ]);
    if (rows[0]?.isThere) found.push(quoted);
    else {
      await createTable(client, table);
      made.push(table);
    }
  }
  // Triggers guard what people do; here the rows come back as they were, those of a chain with their own hashes.
  for (const quoted of found) await client.query(`alter table ${quoted} disable trigger user`);
  // Migrations fill some tables, and what the backup holds counts.
  if (found.length) await client.query(`truncate ${found.join(", ")}`);
  for await (const { table, data } of readTables(part)) {
    const rows = await loadTable(client, table, data, part.path);
    onTable?.(nameOf(table), rows);
  }
  for (const table of made) await finishTable(client, table);
  for (const table of part.manifest.tables) await advanceSequences(client, table);
  for (const quoted of found) await client.query(`alter table ${quoted} enable trigger user`);
}

async function loadTable(
  client: ClientBase,
  table: TableDescription,
  data: AsyncGenerator<Buffer, number>,
  path: string,
): Promise<number> {
  let expected = 0;
  const chunks = async function* (): AsyncGenerator<Buffer> {
    expected = yield* data;
  };
  // The table was made or emptied in this transaction, so its rows can be written frozen.
  const copy = client.query(
    copyFrom(`copy ${quoteName(table.schema, table.name)} ${keptColumns(table)} from stdin (format binary, freeze)`),
  );
  await pipeline(Readable.from(chunks()), copy);
  if (copy.rowCount !== expected) {
    throw new UserError(`${nameOf(table)} came back with ${copy.rowCount} of ${expected} rows`, { file: path });
  }
  return expected;
}

/** What was under way when the snapshot was taken is under way no more, and every model is to be computed anew. */
async function forgetRuns(client: ClientBase): Promise<void> {
  await client.query(
    "update ops.syncs set status = 'failed', error_code = 'interrupted', finished_at = now() where status = 'running'",
  );
  await client.query("update ops.builds set status = 'abandoned', finished_at = now() where status = 'active'");
  await client.query("delete from ops.relation_state where relation ~ '^(staging|core|mart)[.]'");
  await client.query("delete from ops.notes where name = 'blocked identifiers'");
}
