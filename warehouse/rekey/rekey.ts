import { randomBytes } from "node:crypto";
import type pg from "pg";
import { CodedError, UserError } from "../../domain/errors.ts";
import type { TokenRekeying } from "../../domain/runs.ts";
import { foldedKind, foldEmail } from "../../privacy/fold-email.ts";
import type { Naming } from "../../privacy/tokens.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { awaitOlder } from "../erasure/fence.ts";
import type { Vault } from "../vault.ts";
import { countWaiting, holdersOfFormer, renameStored, unknownTokens } from "./stored.ts";

const BATCH = 5_000;
/** The key that will make tokens, until every stored one has its new name. */
const NEXT = "token:next";

interface VaultRow {
  token: string;
  kind: string;
  generation: number;
  wrapped_key: Buffer;
  sealed: Buffer;
}

/** Makes the key that will make tokens, or finds the one of a re-keying that was interrupted. @throws UserError while the former key of an earlier one is kept */
export async function beginRekeying(pool: pg.Pool, vault: Vault, actor: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('miette tokens', 0))");
    const { rows } = await client.query<{ purpose: string; keys: number }>(
      "select purpose, count(*)::integer as keys from vault.keys where purpose in ('token', $1) group by purpose",
      [NEXT],
    );
    if (rows.some(({ purpose }) => purpose === NEXT)) return;
    if (rows.some(({ keys }) => keys > 1)) {
      throw new UserError("the former token key is still kept; miette keys rekey --retire destroys it first", {
        key: "keys rekey",
      });
    }
    const { generation, wrapped } = await vault.wrapFor(client, NEXT, randomBytes(32));
    await client.query(
      "insert into vault.keys (purpose, version, generation, wrapped_key) values ($1, 1, $2, $3) on conflict do nothing",
      [NEXT, generation, wrapped],
    );
    await recordAudit(client, {
      actor,
      action: "tokens.rekey",
      purpose: "identifiers are opened in memory to name them under a new key",
    });
  });
}

/** The names that tokens will have. */
export async function nextNaming(pool: pg.Pool, vault: Vault): Promise<{ key: Buffer; naming: Naming }> {
  const key = await vault.keyOfVersion(pool, NEXT, 1);
  if (key === null)
    throw new CodedError("key_missing", "the next token key is gone; run miette keys rekey again", {
      retryable: false,
    });
  return { key, naming: vault.naming.withTokenKey(key) };
}

/**
 * Notes the new name of every identifier that has none yet: opened in memory alone, a batch at a time.
 * @returns how many it noted
 */
export async function mapIdentifiers(
  pool: pg.Pool,
  vault: Vault,
  progress: (count: number) => void = () => undefined,
): Promise<number> {
  const { naming } = await nextNaming(pool, vault);
  let total = 0;
  for (let after = ""; ;) {
    const { rows } = await pool.query<{ token: string; kind: string }>(
      `select token, kind from vault.identifiers as i where token > $1
         and not exists (select from vault.token_changes as c where c.former = i.token)
         and not exists (select from vault.token_changes as c where c.token = i.token)
       order by token limit ${BATCH}`,
      [after],
    );
    if (rows.length === 0) return total;
    const opened = await vault.openIdentifiers(
      pool,
      rows.map(({ token }) => token),
    );
    const changes = new Map<string, string>();
    for (const { token, kind } of rows) {
      const canonical = opened.get(token)?.canonical;
      if (canonical === undefined) continue;
      changes.set(token, naming.token(kind, canonical));
      if (!canonical.includes("@")) continue;
      const [folded, mailbox] = [foldedKind(kind), foldEmail(canonical)];
      changes.set(vault.naming.token(folded, mailbox), naming.token(folded, mailbox));
    }
    await noteChanges(pool, changes);
    total += rows.length;
    progress(total);
    after = rows.at(-1)?.token as string;
  }
}

/** Notes what tokens will be called; one that has its new name already keeps it. */
export async function noteChanges(pool: pg.Pool, changes: ReadonlyMap<string, string>): Promise<void> {
  await pool.query(
    "insert into vault.token_changes (former, token) select * from unnest($1::text[], $2::text[]) on conflict do nothing",
    [[...changes.keys()], [...changes.values()]],
  );
}

/**
 * From here on nobody lands, publishes, erases or notes anything until the tokens have their new names; waits for those
 * who began before.
 * @throws CodedError while an erasure is being carried out, whose end is waited for
 */
export async function closeForRenaming(pool: pg.Pool): Promise<void> {
  const xid = await inTransaction(pool, async (client) => {
    await client.query("lock table privacy.epoch in exclusive mode");
    const { rows } = await client.query<{ xid: string | null }>("select moving_xid::text as xid from privacy.epoch");
    if (rows[0]?.xid) return rows[0].xid;
    const { rowCount } = await client.query(
      "select from privacy.requests where kind = 'erasure' and state = 'running' limit 1",
    );
    if (rowCount) {
      throw new CodedError("warehouse_unavailable", "an erasure is being carried out; tokens are renamed after it", {
        retryable: true,
      });
    }
    const moved = await client.query<{ xid: string }>(
      "update privacy.epoch set epoch = epoch + 1, moving_xid = pg_current_xact_id() returning moving_xid::text as xid",
    );
    return moved.rows[0]?.xid as string;
  });
  await awaitOlder(pool, xid);
}

/** Gives everything its new name: what the vault holds, and every table. Done again, it finds what is left. */
export async function renameAll(
  pool: pg.Pool,
  vault: Vault,
  progress: (count: number) => void = () => undefined,
): Promise<{ identifiers: number; rows: number }> {
  let identifiers = 0;
  for (let after = ""; ;) {
    const renamed = await inTransaction(pool, async (client) => {
      const { rows } = await client.query<VaultRow & { next: string; folded: string | null }>(
        `select i.token, i.kind, i.generation, i.wrapped_key, i.sealed, c.token as next, coalesce(f.token, i.folded_token) as folded
         from vault.identifiers as i join vault.token_changes as c on c.former = i.token
         left join vault.token_changes as f on f.former = i.folded_token
         where i.token > $1 and c.token is not null order by i.token limit ${BATCH} for update of i`,
        [after],
      );
      const bound = await Promise.all(rows.map((row) => vault.rebind(row, row.next)));
      await client.query(
        `update vault.identifiers as i set token = new.next, wrapped_key = new.wrapped_key, sealed = new.sealed, folded_token = new.folded
         from unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::text[]) as new (token, next, wrapped_key, sealed, folded)
         where i.token = new.token`,
        [
          rows.map(({ token }) => token),
          rows.map(({ next }) => next),
          bound.map(({ wrapped }) => wrapped),
          bound.map(({ sealed }) => sealed),
          rows.map(({ folded }) => folded),
        ],
      );
      return rows;
    });
    identifiers += renamed.length;
    progress(identifiers);
    if (renamed.length < BATCH) break;
    after = renamed.at(-1)?.token as string;
  }
  return { identifiers, rows: await renameStored(pool, progress) };
}

/**
 * Opens every identifier and compares its name with the one that the new key makes, and looks for former names in every
 * table; then lets the new key make tokens. The former is kept beside it.
 * @returns what the warehouse holds under the new key
 * @throws CodedError `key_missing` where something has kept its former name; nothing was lost, and it can be done again
 */
export async function proveAndSwitch(pool: pg.Pool, vault: Vault, actor: string): Promise<TokenRekeying> {
  const { key, naming } = await nextNaming(pool, vault);
  const { rows: kinds } = await pool.query<{ kind: string }>("select distinct kind from vault.identifiers");
  let identifiers = 0;
  for await (const batch of vault.identifiers(
    pool,
    kinds.map(({ kind }) => kind),
  )) {
    for (const { token, kind, canonical } of batch) {
      if (naming.token(kind, canonical) !== token) throw unfinished("an identifier of the vault");
    }
    identifiers += batch.length;
  }
  const holders = await holdersOfFormer(pool);
  if (holders.length > 0) throw unfinished(holders.join(", "));
  const unknown = await unknownTokens(pool);
  await inTransaction(pool, async (client) => {
    await client.query("lock table privacy.epoch in exclusive mode");
    await client.query(
      "insert into vault.token_changes (former) select * from unnest($1::text[]) on conflict do nothing",
      [unknown],
    );
    const { generation, wrapped } = await vault.wrapFor(client, "token", key);
    await client.query(
      `insert into vault.keys (purpose, version, generation, wrapped_key)
       select 'token', max(version) + 1, $1, $2::bytea from vault.keys where purpose = 'token'`,
      [generation, wrapped],
    );
    await client.query("delete from vault.keys where purpose = $1", [NEXT]);
    await client.query("delete from ops.notes where name = 'blocked identifiers'");
    await client.query("update privacy.epoch set epoch = epoch + 1, moving_xid = null");
    await recordAudit(client, { actor, action: "tokens.switch", detail: { identifiers, unknown: unknown.length } });
  });
  await vault.followTokenKey(pool);
  return { identifiers, unknown: unknown.length };
}

/**
 * Destroys the former key, and what tokens were called under it, after proof that nothing needs either.
 * @returns whether there was one
 * @throws UserError where something noted under a former name is still to be found by it
 */
export async function retireTokenKey(pool: pg.Pool, vault: Vault, actor: string): Promise<boolean> {
  const isRetired = await inTransaction(pool, async (client) => {
    // Nobody lands meanwhile: what arrives would be looked for under its former name.
    await client.query("lock table privacy.epoch in exclusive mode");
    const { rows } = await client.query<{ purpose: string; keys: number }>(
      "select purpose, count(*)::integer as keys from vault.keys where purpose in ('token', $1) group by purpose",
      [NEXT],
    );
    if (rows.some(({ purpose }) => purpose === NEXT)) {
      throw new UserError("tokens are being named under a new key; run miette keys rekey to its end first", {
        key: "keys rekey --retire",
      });
    }
    if (rows.every(({ keys }) => keys < 2)) return false;
    const holders = await holdersOfFormer(client);
    if (holders.length > 0) throw unfinished(holders.join(", "));
    const waiting = await countWaiting(client);
    if (waiting > 0) {
      throw new UserError(
        `${waiting === 1 ? "1 identifier" : `${waiting} identifiers`} of the consent ledger or of holds, not landed yet, can be told by the former key alone, which was therefore kept; retire it once they have landed, or note again what was said or held`,
        { key: "keys rekey --retire" },
      );
    }
    await client.query(
      "delete from vault.keys where purpose = 'token' and version < (select max(version) from vault.keys where purpose = 'token')",
    );
    await client.query("delete from vault.token_changes");
    await client.query("update privacy.epoch set epoch = epoch + 1");
    await recordAudit(client, { actor, action: "tokens.retire" });
    return true;
  });
  await vault.followTokenKey(pool);
  return isRetired;
}

function unfinished(where: string): CodedError {
  return new CodedError(
    "key_missing",
    `tokens in ${where} still have their former names, so the former key was kept; run miette keys rekey again`,
    { retryable: false },
  );
}
