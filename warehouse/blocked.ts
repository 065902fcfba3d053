import { createHash } from "node:crypto";
import type pg from "pg";
import type { IdentityRules } from "../domain/project.ts";
import { inTransaction } from "./database.ts";
import { recordChange } from "./relation-state.ts";
import type { Vault } from "./vault.ts";

const NOTE = "blocked identifiers";

/** What was looked at when the list was made. */
interface Looked {
  /** A hash of the rules. */
  rules: string;
  /** Every transaction below this id had ended, so what it brought was looked at. */
  upTo: string;
}

/**
 * Keeps `ops.blocked_identifiers` true: the tokens of all identifiers that the rules block. Patterns are compared with
 * canonical values, which only the vault has, opened here in memory: of those alone that have come since, unless the rules
 * have changed. 50,000 of them take a second.
 */
export async function refreshBlocked(pool: pg.Pool, vault: Vault, rules: IdentityRules): Promise<void> {
  for (;;) {
    const state = await readState(pool);
    const hash = createHash("sha256").update(JSON.stringify(rules.identifiers)).digest("hex").slice(0, 16);
    const before = state.note === null ? null : (JSON.parse(state.note) as Looked);
    const since = before?.rules === hash ? before.upTo : null;
    const kinds = [...patternsOf(rules).keys()];
    if (since !== null && !state.hasGone && !(await vault.hasIdentifiers(pool, kinds, since))) return;
    const blocked = await findBlocked(pool, vault, rules, since);
    const note = JSON.stringify({ rules: hash, upTo: state.upTo } satisfies Looked);
    if (await write(pool, blocked, { isWhole: since === null, before: state.note, note })) return;
  }
}

async function readState(pool: pg.Pool): Promise<{ note: string | null; upTo: string; hasGone: boolean }> {
  const { rows } = await pool.query<{ note: string | null; upTo: string; hasGone: boolean }>(
    `select pg_snapshot_xmin(pg_current_snapshot())::text as "upTo", (select value from ops.notes where name = $1) as note,
       exists (select from ops.blocked_identifiers where ${IS_GONE}) as "hasGone"`,
    [NOTE],
  );
  return rows[0]!;
}

const IS_GONE = "not exists (select from vault.identifiers as kept where kept.token = blocked_identifiers.token)";

/** @returns false, with nothing written, where somebody else has brought the list up to date meanwhile */
async function write(
  pool: pg.Pool,
  blocked: BlockedIdentifier[],
  { isWhole, before, note }: { isWhole: boolean; before: string | null; note: string },
): Promise<boolean> {
  return await inTransaction(pool, async (client) => {
    await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [NOTE]);
    const { rows } = await client.query<{ value: string }>("select value from ops.notes where name = $1", [NOTE]);
    if ((rows[0]?.value ?? null) !== before) return false;
    const tokens = blocked.map(({ token }) => token);
    const gone = await client.query(
      `delete from ops.blocked_identifiers where ${isWhole ? "token <> all($1)" : IS_GONE}`,
      isWhole ? [tokens] : [],
    );
    const come = await client.query(
      `insert into ops.blocked_identifiers (token, kind) select * from unnest($1::text[], $2::text[])
       on conflict (token) do nothing`,
      [tokens, blocked.map(({ kind }) => kind)],
    );
    if (gone.rowCount || come.rowCount) await recordChange(client, "ops.blocked_identifiers");
    await client.query(
      "insert into ops.notes (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value",
      [NOTE, note],
    );
    return true;
  });
}

export interface BlockedIdentifier {
  token: string;
  kind: string;
}

/**
 * The identifiers whose values the rules block.
 * @param since of those alone that transactions from this one on have brought; null: of all
 */
export async function findBlocked(
  pool: pg.Pool,
  vault: Vault,
  rules: IdentityRules,
  since: string | null = null,
): Promise<BlockedIdentifier[]> {
  const patterns = patternsOf(rules);
  const blocked: BlockedIdentifier[] = [];
  for await (const batch of vault.identifiers(pool, [...patterns.keys()], since)) {
    for (const { token, kind, canonical } of batch) {
      if (patterns.get(kind)?.some((pattern) => pattern.test(canonical))) blocked.push({ token, kind });
    }
  }
  return blocked;
}

function patternsOf(rules: IdentityRules): Map<string, RegExp[]> {
  return new Map(
    rules.identifiers
      .filter(({ blocked }) => blocked.length > 0)
      .map(({ kind, blocked }) => [kind, blocked.map(asPattern)]),
  );
}

/** `*` stands for any run of characters; everything else for itself, without regard to case. */
function asPattern(pattern: string): RegExp {
  const escaped = pattern
    .trim()
    .split("*")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join("[^]*")}$`, "iu");
}
