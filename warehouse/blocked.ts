import { createHash } from "node:crypto";
import type pg from "pg";
import type { IdentityRules } from "../domain/project.ts";
import { inTransaction } from "./database.ts";
import { recordChange } from "./relation-state.ts";
import type { Vault } from "./vault.ts";

/**
 * Keeps `ops.blocked_identifiers` true: the tokens of all identifiers that the rules block. Patterns are compared with
 * canonical values, which only the vault has, opened here in memory. Does nothing while neither the rules nor the
 * identifiers of their kinds have changed.
 */
export async function refreshBlocked(pool: pg.Pool, vault: Vault, rules: IdentityRules): Promise<void> {
  const kinds = [...patternsOf(rules).keys()];
  const state = await blockState(pool, rules, kinds);
  const { rows } = await pool.query<{ value: string }>(
    "select value from ops.notes where name = 'blocked identifiers'",
  );
  if (rows[0]?.value === state) return;
  const blocked = await findBlocked(pool, vault, rules);
  await inTransaction(pool, async (client) => {
    const tokens = blocked.map(({ token }) => token);
    const gone = await client.query("delete from ops.blocked_identifiers where token <> all($1)", [tokens]);
    const come = await client.query(
      `insert into ops.blocked_identifiers (token, kind) select * from unnest($1::text[], $2::text[])
       on conflict (token) do nothing`,
      [tokens, blocked.map(({ kind }) => kind)],
    );
    if (gone.rowCount || come.rowCount) await recordChange(client, "ops.blocked_identifiers");
    await client.query(
      "insert into ops.notes (name, value) values ('blocked identifiers', $1) on conflict (name) do update set value = excluded.value",
      [state],
    );
  });
}

export interface BlockedIdentifier {
  token: string;
  kind: string;
}

/** The identifiers whose values the rules block. */
export async function findBlocked(pool: pg.Pool, vault: Vault, rules: IdentityRules): Promise<BlockedIdentifier[]> {
  const patterns = patternsOf(rules);
  const blocked: BlockedIdentifier[] = [];
  for await (const batch of vault.identifiers(pool, [...patterns.keys()])) {
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

/** Changes when a rule does, or when an identifier of a kind with patterns has come. */
async function blockState(pool: pg.Pool, rules: IdentityRules, kinds: string[]): Promise<string> {
  const { rows } = await pool.query<{ identifiers: string }>(
    "select count(*) as identifiers from vault.identifiers where kind = any($1)",
    [kinds],
  );
  const hash = createHash("sha256").update(JSON.stringify(rules.identifiers)).digest("hex").slice(0, 16);
  return `${hash} ${rows[0]?.identifiers ?? 0}`;
}

/** `*` stands for any run of characters; everything else for itself, without regard to case. */
function asPattern(pattern: string): RegExp {
  const escaped = pattern
    .trim()
    .split("*")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join("[^]*")}$`, "iu");
}
