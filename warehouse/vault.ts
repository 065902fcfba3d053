import { randomBytes } from "node:crypto";
import type pg from "pg";
import type { KeyEncryption } from "../privacy/keys.ts";
import { open, seal } from "../privacy/sealing.ts";
import { Naming, type NamingKeys } from "../privacy/tokens.ts";
import { refuseUnfinished } from "./backup/unfinished.ts";

/** An identifier found in a record: what its token stands for. */
export interface Identifier {
  kind: string;
  canonical: string;
  /** Of an e-mail address: the token of its mailbox, which all spellings that reach it share; else null. */
  foldedToken: string | null;
}

export interface OpenedIdentifier {
  canonical: string;
  /** The key that seals what belongs to it. */
  key: Buffer;
}

interface VersionedKey {
  version: number;
  key: Buffer;
}

/** Identifiers that are known to stand in the vault: at 200 bytes each with their unwrapped key, 100 without, about 30 MB. */
const CACHED_IDENTIFIERS = 250_000;
/** Identifiers that are read and opened at a time. */
const BATCH = 10_000;

const NAMING_KEYS: (keyof NamingKeys)[] = ["record", "content", "token", "suppression", "pseudonym"];

/**
 * The keys by which a warehouse names, seals and opens. Key material stays in the process's memory; the database holds it
 * wrapped by the key encryption alone.
 */
export class Vault {
  readonly naming: Naming;
  readonly #encryption: KeyEncryption;
  #tokenVersion = 0;
  readonly #purposes = new Map<string, VersionedKey>();
  /** By token; null where only that it is there is known, since nothing was to be sealed under its key yet. */
  readonly #identifierKeys = new Map<string, Buffer | null>();

  private constructor(encryption: KeyEncryption, naming: Naming) {
    this.#encryption = encryption;
    this.naming = naming;
  }

  /**
   * Opens the vault of a migrated warehouse, and makes the keys that it does not have yet: never while those of a backup
   * are on their way.
   * @throws UserError where a generation that wraps keys of it is missing or badly kept
   */
  static async open(pool: pg.Pool, encryption: KeyEncryption): Promise<Vault> {
    await refuseUnfinished(pool);
    await openGenerations(pool, encryption);
    const masters = new Map<string, Buffer>();
    for (const purpose of NAMING_KEYS) masters.set(purpose, (await latestKey(pool, encryption, purpose)).key);
    const vault = new Vault(encryption, new Naming(Object.fromEntries(masters) as unknown as NamingKeys));
    await vault.followTokenKey(pool);
    return vault;
  }

  /** Makes tokens by the key that makes them now, and knows those of the key before until it is retired. */
  async followTokenKey(client: pg.ClientBase | pg.Pool): Promise<void> {
    const { rows } = await (client as pg.Pool).query<{ version: number; generation: number; wrapped_key: Buffer }>(
      "select version, generation, wrapped_key from vault.keys where purpose = 'token' order by version desc limit 2",
    );
    const [current, former] = rows;
    // Versions count up, so their sum tells both which is current and whether the one before is still there.
    const version = (current?.version ?? 0) * 2 - (former ? 0 : 1);
    if (!current || version === this.#tokenVersion) return;
    await openAll(this.#encryption, rows);
    const [key, before] = rows.map(({ generation, wrapped_key }) =>
      this.#encryption.unwrap(wrapped_key, generation, purposeIdentity("token")),
    );
    this.naming.followTokenKey(key as Buffer, before ?? null);
    this.#identifierKeys.clear();
    this.#tokenVersion = version;
  }

  /** A key like those of purposes, wrapped as the given purpose's. */
  async wrapFor(client: pg.ClientBase, purpose: string, key: Buffer): Promise<{ generation: number; wrapped: Buffer }> {
    const generation = await currentGeneration(client, this.#encryption);
    return { generation, wrapped: this.#encryption.wrap(key, generation, purposeIdentity(purpose)) };
  }

  /** An identifier's row as it has to be under another token: its own key and its value are bound to the name. */
  async rebind(
    row: { token: string; generation: number; wrapped_key: Buffer; sealed: Buffer },
    token: string,
  ): Promise<{ wrapped: Buffer; sealed: Buffer }> {
    await this.#encryption.openGeneration(row.generation);
    const [before, after] = [identifierIdentity(row.token), identifierIdentity(token)];
    const key = this.#encryption.unwrap(row.wrapped_key, row.generation, before);
    return {
      wrapped: this.#encryption.wrap(key, row.generation, after),
      sealed: seal(key, after, open(key, before, row.sealed)),
    };
  }

  /** The key of a purpose that is no person's: `stream:shop.orders`, `quarantine`, `cursor`. Made at first use. */
  async purposeKey(pool: pg.Pool, purpose: string): Promise<Buffer> {
    return (await this.latestKey(pool, purpose)).key;
  }

  /** The same with its version, for what notes beside the sealed value which key sealed it. */
  async latestKey(pool: pg.Pool, purpose: string): Promise<VersionedKey> {
    let latest = this.#purposes.get(purpose);
    if (!latest) {
      latest = await latestKey(pool, this.#encryption, purpose);
      this.#purposes.set(purpose, latest);
    }
    return latest;
  }

  /** Destroys all keys of a purpose: what they sealed opens for nobody any more. */
  async destroyPurposeKey(pool: pg.Pool, purpose: string): Promise<void> {
    await pool.query("delete from vault.keys where purpose = $1", [purpose]);
    this.#purposes.delete(purpose);
  }

  /** An older key of a purpose, or null where it is gone. */
  async keyOfVersion(pool: pg.Pool, purpose: string, version: number): Promise<Buffer | null> {
    const latest = this.#purposes.get(purpose);
    if (latest?.version === version) return latest.key;
    const { rows } = await pool.query<{ generation: number; wrapped_key: Buffer }>(
      "select generation, wrapped_key from vault.keys where purpose = $1 and version = $2",
      [purpose, version],
    );
    const row = rows[0];
    if (!row) return null;
    await this.#encryption.openGeneration(row.generation);
    return this.#encryption.unwrap(row.wrapped_key, row.generation, purposeIdentity(purpose));
  }

  /**
   * Stores the identifiers that the vault does not know, in `client`'s transaction, and reads the keys of those that are to
   * seal something: most events seal nothing beside their identifiers.
   * Call `remember` with the result after the commit, never before: a rolled-back key must not seal anything.
   * @param sealing tokens among them
   * @returns by token, the key of each that seals, and maybe of others; null where it is only known to be there
   */
  async identifierKeys(
    client: pg.ClientBase,
    identifiers: ReadonlyMap<string, Identifier>,
    sealing: ReadonlySet<string>,
  ): Promise<Map<string, Buffer | null>> {
    const keys = new Map<string, Buffer | null>();
    const unknown: string[] = [];
    for (const token of identifiers.keys()) {
      const cached = this.#identifierKeys.get(token);
      if (cached || (cached === null && !sealing.has(token))) keys.set(token, cached);
      else unknown.push(token);
    }
    // One order for all loaders, else two that bring the same people wait for each other.
    unknown.sort();
    await this.#find(client, unknown, sealing, keys);
    const absent = unknown.filter((token) => !keys.has(token));
    if (absent.length > 0) {
      await this.#store(client, absent, identifiers, keys);
      // Another loader has stored the same token first: then its key counts.
      const stored = absent.filter((token) => !keys.has(token));
      await this.#find(client, stored, sealing, keys);
    }
    return keys;
  }

  /** What tokens stand for, with the keys of their own, for the caller's memory alone; a token that is not known is left out. */
  async openIdentifiers(client: pg.ClientBase | pg.Pool, tokens: string[]): Promise<Map<string, OpenedIdentifier>> {
    if (tokens.length === 0) return new Map();
    const { rows } = await (client as pg.Pool).query<{
      token: string;
      generation: number;
      wrapped_key: Buffer;
      sealed: Buffer;
    }>("select token, generation, wrapped_key, sealed from vault.identifiers where token = any($1)", [tokens]);
    await openAll(this.#encryption, rows);
    return new Map(
      rows.map(({ token, generation, wrapped_key, sealed }) => {
        const key = this.#encryption.unwrap(wrapped_key, generation, identifierIdentity(token));
        return [token, { key, canonical: open(key, identifierIdentity(token), sealed).toString("utf8") }];
      }),
    );
  }

  /** Forgets the keys of identifiers that this process holds: after an erasure some are nobody's. */
  forgetIdentifiers(): void {
    this.#identifierKeys.clear();
  }

  remember(keys: ReadonlyMap<string, Buffer | null>): void {
    for (const [token, key] of keys) {
      if (this.#identifierKeys.size >= CACHED_IDENTIFIERS) {
        this.#identifierKeys.delete(this.#identifierKeys.keys().next().value as string);
      }
      this.#identifierKeys.set(token, key);
    }
  }

  /** Those of the tokens that the vault knows, with their keys where they seal. */
  async #find(
    client: pg.ClientBase,
    tokens: string[],
    sealing: ReadonlySet<string>,
    into: Map<string, Buffer | null>,
  ): Promise<void> {
    const others = tokens.filter((token) => !sealing.has(token));
    if (others.length > 0) {
      const { rows } = await client.query<{ token: string }>(
        "select token from vault.identifiers where token = any($1)",
        [others],
      );
      for (const { token } of rows) into.set(token, null);
    }
    if (others.length === tokens.length) return;
    const { rows } = await client.query<{ token: string; generation: number; wrapped_key: Buffer }>(
      "select token, generation, wrapped_key from vault.identifiers where token = any($1)",
      [tokens.filter((token) => sealing.has(token))],
    );
    await openAll(this.#encryption, rows);
    for (const row of rows) {
      into.set(row.token, this.#encryption.unwrap(row.wrapped_key, row.generation, identifierIdentity(row.token)));
    }
  }

  /** Stores identifiers under keys of their own; those that were really stored have theirs in `into`. */
  async #store(
    client: pg.ClientBase,
    tokens: string[],
    identifiers: ReadonlyMap<string, Identifier>,
    into: Map<string, Buffer | null>,
  ): Promise<void> {
    const generation = await currentGeneration(client, this.#encryption);
    // Drawn at once: a call for each takes ten times as long.
    const random = randomBytes(32 * tokens.length);
    const rows = tokens.map((token, index) => {
      const { kind, canonical, foldedToken } = identifiers.get(token) as Identifier;
      const key = Buffer.from(random.subarray(32 * index, 32 * (index + 1)));
      return {
        token,
        kind,
        key,
        foldedToken,
        wrapped: this.#encryption.wrap(key, generation, identifierIdentity(token)),
        sealed: seal(key, identifierIdentity(token), canonical),
      };
    });
    const stored = await client.query<{ token: string }>(
      `insert into vault.identifiers (token, kind, generation, wrapped_key, sealed, folded_token)
       select token, kind, $2, wrapped_key, sealed, folded_token
       from unnest($1::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[])
         as new (token, kind, wrapped_key, sealed, folded_token)
       on conflict (token) do nothing
       returning token`,
      [
        rows.map((row) => row.token),
        generation,
        rows.map((row) => row.kind),
        rows.map((row) => row.wrapped),
        rows.map((row) => row.sealed),
        rows.map((row) => row.foldedToken),
      ],
    );
    const former = rows.map(({ token, kind }) => {
      return this.naming.formerToken(kind, (identifiers.get(token) as Identifier).canonical);
    });
    if ((former[0] ?? null) !== null) {
      await client.query("select vault.meet_tokens($1, $2)", [former, rows.map(({ token }) => token)]);
    }
    const made = new Map(rows.map(({ token, key }) => [token, key]));
    for (const { token } of stored.rows) into.set(token, made.get(token) as Buffer);
  }

  /** Whether transactions from this one on have brought identifiers of these kinds. */
  async hasIdentifiers(pool: pg.Pool, kinds: string[], since: string): Promise<boolean> {
    const { rows } = await pool.query<{ has: boolean }>(
      `select exists (select from vault.identifiers where kind = any($1) and ${isSince("$2")}) as has`,
      [kinds, since],
    );
    return rows[0]!.has;
  }

  /**
   * Reads identifiers back, in batches: the canonical form of each token, for the caller's memory only.
   * @param since of those alone that transactions from this one on have brought; null: of all
   */
  async *identifiers(
    pool: pg.Pool,
    kinds: string[],
    since: string | null = null,
  ): AsyncGenerator<{ token: string; kind: string; canonical: string }[]> {
    let after = "";
    for (;;) {
      const { rows } = await pool.query<{
        token: string;
        kind: string;
        generation: number;
        wrapped_key: Buffer;
        sealed: Buffer;
      }>(
        `select token, kind, generation, wrapped_key, sealed from vault.identifiers
         where kind = any($1) and token > $2${since === null ? "" : ` and ${isSince("$3")}`} order by token limit ${BATCH}`,
        [kinds, after, ...(since === null ? [] : [since])],
      );
      if (rows.length === 0) return;
      await openAll(this.#encryption, rows);
      yield rows.map(({ token, kind, generation, wrapped_key, sealed }) => {
        const key = this.#encryption.unwrap(wrapped_key, generation, identifierIdentity(token));
        return { token, kind, canonical: open(key, identifierIdentity(token), sealed).toString("utf8") };
      });
      if (rows.length < BATCH) return;
      after = rows.at(-1)?.token ?? "";
    }
  }
}

/** A restored warehouse has rows of another cluster's transactions, which are none of the time to come. */
function isSince(parameter: string): string {
  return `landed_xid >= ${parameter}::bigint and landed_xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint`;
}

/** What an identifier's key and plaintext are bound to. */
export function identifierIdentity(token: string): string {
  return `identifier:${token}`;
}

/** What a purpose's key is bound to. */
export function purposeIdentity(purpose: string): string {
  return `purpose:${purpose}`;
}

/** All generations that wrap something; a warehouse without keys gets its first. */
async function openGenerations(pool: pg.Pool, encryption: KeyEncryption): Promise<void> {
  const { rows } = await pool.query<{ generation: number }>(
    "select generation from vault.generations where status in ('current', 'retiring') order by generation",
  );
  for (const { generation } of rows) await encryption.openGeneration(generation);
  if (rows.length > 0) return;
  await encryption.createGeneration(1);
  await pool.query("insert into vault.generations (generation, status) values (1, 'current') on conflict do nothing");
}

async function openAll(encryption: KeyEncryption, rows: { generation: number }[]): Promise<void> {
  for (const generation of new Set(rows.map((row) => row.generation))) await encryption.openGeneration(generation);
}

/** The generation that wraps, held until the transaction's end: a rotation waits for what is being wrapped under the old one. */
async function currentGeneration(client: pg.ClientBase | pg.Pool, encryption: KeyEncryption): Promise<number> {
  // A statement that has waited for a rotation does not see the row that came by it: the next one does.
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const { rows } = await (client as pg.Pool).query<{ generation: number }>(
      "select generation from vault.generations where status = 'current' for share",
    );
    const generation = rows[0]?.generation;
    if (generation === undefined) continue;
    await encryption.openGeneration(generation);
    return generation;
  }
  throw new Error("the vault has no current key generation");
}

/**
 * The newest key of a purpose, made where there is none. No statement holds anything beyond its end, so that nobody waits
 * for a process that stands still; a rotation waits for the one that makes it, as for what `currentGeneration` holds.
 */
async function latestKey(pool: pg.Pool, encryption: KeyEncryption, purpose: string): Promise<VersionedKey> {
  type Row = { version: number; generation: number; wrapped_key: Buffer };
  for (let attempt = 1; ; attempt += 1) {
    const { rows } = await pool.query<Row>(
      "select version, generation, wrapped_key from vault.keys where purpose = $1 order by version desc limit 1",
      [purpose],
    );
    const [row] = rows;
    if (row) {
      await encryption.openGeneration(row.generation);
      return {
        version: row.version,
        key: encryption.unwrap(row.wrapped_key, row.generation, purposeIdentity(purpose)),
      };
    }
    if (attempt > 3) throw new Error(`the key ${purpose} is gone from the vault`);
    const generation = await currentGeneration(pool, encryption);
    await pool.query(
      `insert into vault.keys (purpose, version, generation, wrapped_key)
       select $1, 1, generation, $3 from vault.generations where generation = $2 and status = 'current' for share
       on conflict do nothing`,
      [purpose, generation, encryption.wrap(randomBytes(32), generation, purposeIdentity(purpose))],
    );
  }
}
