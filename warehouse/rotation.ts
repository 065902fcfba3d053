import type pg from "pg";
import { CodedError } from "../domain/errors.ts";
import type { KeyEncryption } from "../privacy/keys.ts";
import { open } from "../privacy/sealing.ts";
import { recordAudit } from "./audit.ts";
import { inTransaction, quoteName } from "./database.ts";
import { identifierIdentity, purposeIdentity } from "./vault.ts";

/** A rotation: `retiring` have wrapped, `current` wraps from now on. */
export interface Rotation {
  current: number;
  retiring: number[];
}

/** Rows of one transaction: 0.3 s of work, so that loaders that bring the same identifiers wait no longer. */
const BATCH = 5_000;

/**
 * Makes the next generation and lets it wrap from now on, or finds the rotation that was interrupted. Loaders that wrap
 * under the old generation are waited for, so that nothing is wrapped under it once this has returned.
 */
export async function beginRotation(pool: pg.Pool, encryption: KeyEncryption, actor: string): Promise<Rotation> {
  return await inTransaction(pool, async (client) => {
    // The table, not the row: a stream of loaders that share the row would starve an update of it.
    await client.query("lock table vault.generations in exclusive mode");
    const { rows } = await client.query<{ generation: number; status: string }>(
      "select generation, status from vault.generations order by generation",
    );
    const retiring = rows
      .filter(({ status }) => status === "retiring" || status === "destroying")
      .map(({ generation }) => generation);
    const current = rows.find(({ status }) => status === "current")?.generation;
    if (current === undefined) throw new Error("the vault has no current key generation");
    if (retiring.length > 0) return { current, retiring };
    const next = Math.max(...rows.map(({ generation }) => generation)) + 1;
    await encryption.createGeneration(next);
    await client.query("update vault.generations set status = 'retiring' where status = 'current'");
    await client.query("insert into vault.generations (generation, status) values ($1, 'current')", [next]);
    await recordAudit(client, { actor, action: "keys.rotate", detail: { from: current, to: next } });
    return { current: next, retiring: [current] };
  });
}

/**
 * Wraps every living key under the current generation, in batches that each commit: an interrupted call is called again.
 * @returns how many keys it wrapped
 */
export async function rewrapKeys(
  pool: pg.Pool,
  encryption: KeyEncryption,
  { current }: Rotation,
  progress: (wrapped: number) => void = () => undefined,
): Promise<number> {
  await encryption.openGeneration(current);
  const rewrap = (wrapped: Buffer, generation: number, identity: string): Buffer =>
    encryption.wrap(encryption.unwrap(wrapped, generation, identity), current, identity);
  let total = await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ purpose: string; version: number; generation: number; wrapped_key: Buffer }>(
      "select purpose, version, generation, wrapped_key from vault.keys where generation <> $1 order by 1, 2 for update",
      [current],
    );
    for (const { purpose, version, generation, wrapped_key } of rows) {
      await encryption.openGeneration(generation);
      await client.query(
        "update vault.keys set generation = $3, wrapped_key = $4 where purpose = $1 and version = $2",
        [purpose, version, current, rewrap(wrapped_key, generation, purposeIdentity(purpose))],
      );
    }
    return rows.length;
  });
  for (let after = ""; ;) {
    const tokens = await inTransaction(pool, async (client) => {
      const { rows } = await client.query<{ token: string; generation: number; wrapped_key: Buffer }>(
        `select token, generation, wrapped_key from vault.identifiers
         where token > $1 and generation <> $2 order by token limit ${BATCH} for update`,
        [after, current],
      );
      for (const generation of new Set(rows.map((row) => row.generation))) await encryption.openGeneration(generation);
      await client.query(
        `update vault.identifiers as identifier set generation = $1, wrapped_key = new.wrapped_key
         from unnest($2::text[], $3::bytea[]) as new (token, wrapped_key) where identifier.token = new.token`,
        [
          current,
          rows.map(({ token }) => token),
          rows.map(({ token, generation, wrapped_key }) => rewrap(wrapped_key, generation, identifierIdentity(token))),
        ],
      );
      return rows.map(({ token }) => token);
    });
    total += tokens.length;
    progress(total);
    if (tokens.length < BATCH) return total;
    after = tokens.at(-1) as string;
  }
}

/**
 * Reads every key back from the warehouse and opens by it what it sealed.
 * @returns how many keys opened
 * @throws CodedError `key_missing` where one does not open; the retiring generations are then still there
 */
export async function proveKeys(
  pool: pg.Pool,
  encryption: KeyEncryption,
  { current }: Rotation,
  progress: (proven: number) => void = () => undefined,
): Promise<number> {
  await encryption.openGeneration(current);
  const { rows: keys } = await pool.query<{ purpose: string; generation: number; wrapped_key: Buffer }>(
    "select purpose, generation, wrapped_key from vault.keys",
  );
  for (const { purpose, generation, wrapped_key } of keys) {
    prove(`the key ${purpose}`, () => {
      encryption.unwrap(wrapped_key, requireCurrent(generation, current), purposeIdentity(purpose));
    });
  }
  let proven = keys.length;
  for (let after = ""; ;) {
    const { rows } = await pool.query<{ token: string; generation: number; wrapped_key: Buffer; sealed: Buffer }>(
      `select token, generation, wrapped_key, sealed from vault.identifiers where token > $1 order by token limit ${BATCH}`,
      [after],
    );
    for (const { token, generation, wrapped_key, sealed } of rows) {
      prove(`the key of ${token}`, () => {
        const identity = identifierIdentity(token);
        open(encryption.unwrap(wrapped_key, requireCurrent(generation, current), identity), identity, sealed);
      });
    }
    proven += rows.length;
    progress(proven);
    if (rows.length < BATCH) return proven;
    after = rows.at(-1)?.token as string;
  }
}

/** Destroys the retiring generations, for good: whatever only they have wrapped, anywhere, opens for nobody any more. */
export async function destroyRetired(
  pool: pg.Pool,
  encryption: KeyEncryption,
  { current, retiring }: Rotation,
  actor: string,
): Promise<void> {
  for (const generation of retiring) {
    await inTransaction(pool, async (client) => {
      const holders = await tablesWrappedBy(client, generation);
      if (holders.length > 0) {
        throw new CodedError(
          "key_missing",
          `keys in ${holders.join(", ")} are still wrapped by generation ${generation}, which was therefore kept; run miette keys rotate again`,
          { retryable: false },
        );
      }
      await client.query("update vault.generations set status = 'destroying' where generation = $1", [generation]);
    });
    await encryption.destroyGeneration(generation);
    await inTransaction(pool, async (client) => {
      const { rowCount } = await client.query(
        "update vault.generations set status = 'destroyed', destroyed_at = now() where generation = $1 and status = 'destroying'",
        [generation],
      );
      if (rowCount) await recordAudit(client, { actor, action: "keys.destroy", detail: { generation, current } });
    });
  }
}

/** Any table may hold wrapped keys: it then says by which generation, and a rotation that does not know it must not destroy them. */
async function tablesWrappedBy(client: pg.ClientBase, generation: number): Promise<string[]> {
  const { rows } = await client.query<{ schema: string; name: string }>(
    `select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
       and (select count(*) from pg_attribute a
            where a.attrelid = c.oid and a.attname in ('generation', 'wrapped_key') and not a.attisdropped) = 2
     order by 1, 2`,
  );
  const holders: string[] = [];
  for (const { schema, name } of rows) {
    const { rowCount } = await client.query(`select from ${quoteName(schema, name)} where generation = $1 limit 1`, [
      generation,
    ]);
    if (rowCount) holders.push(`${schema}.${name}`);
  }
  return holders;
}

function requireCurrent(generation: number, current: number): number {
  if (generation !== current) throw new Error("wrapped by an older generation");
  return current;
}

function prove(what: string, opens: () => void): void {
  try {
    opens();
  } catch {
    throw new CodedError(
      "key_missing",
      `${what} does not open under the new generation; nothing was destroyed, so restore vault.* from the last backup and rotate again`,
      { retryable: false },
    );
  }
}

export interface GenerationStatus {
  generation: number;
  status: "current" | "retiring" | "destroying" | "destroyed";
  createdAt: string;
  destroyedAt: string | null;
  /** Keys that it wraps now. */
  keys: number;
}

export async function keyStatus(pool: pg.Pool): Promise<GenerationStatus[]> {
  const { rows } = await pool.query<GenerationStatus>(
    `select g.generation, g.status, g.created_at::text as "createdAt", g.destroyed_at::text as "destroyedAt",
       ((select count(*) from vault.keys k where k.generation = g.generation)
        + (select count(*) from vault.identifiers i where i.generation = g.generation))::integer as keys
     from vault.generations g order by g.generation`,
  );
  return rows;
}
