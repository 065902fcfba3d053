import type { ClientBase } from "pg";
import { columnName } from "../../domain/columns.ts";
import { rawTableName, type StreamSchema } from "../../domain/streams.ts";
import { quoteName } from "../database.ts";
import { nameOf, type TableDescription } from "./tables.ts";

export interface LostIdentifiers {
  /** Identifiers that the restored rows carry and the vault has no key for any more. */
  identifiers: number;
  /** Rows of raw and its history that were parted from them. */
  rows: number;
}

/**
 * Parts the restored rows from the identifiers that the current vault does not hold: their people were erased after the
 * backup was taken. Every identifier that lands is stored in the vault by the same transaction, so one that is missing
 * there was destroyed on purpose. Rows lose its token, and what was sealed under its key, which nobody can open; nothing
 * of it is left for identity to link by. Suppressed people are dealt with here, before anything else reads the rows.
 * @param remembered the tables of core and mart that were restored
 */
export async function dropLostIdentifiers(
  client: ClientBase,
  remembered: readonly TableDescription[],
): Promise<LostIdentifiers> {
  await client.query("create temporary table lost_identifiers (token text primary key) on commit drop");
  const streams = await client.query<{ source: string; stream: string; schema: StreamSchema }>(
    "select source, stream, schema from ops.streams order by source, stream",
  );
  const tables = streams.rows.flatMap(({ source, stream, schema }) => {
    const table = rawTableName(source, stream);
    return [table, `${table}__history`].map((name) => ({ name: quoteName("raw", name), ...tokenColumns(schema) }));
  });
  for (const { name, tokens } of tables) {
    for (const column of tokens) await collect(client, name, column);
  }
  if (remembered.some((table) => nameOf(table) === "core.identifiers"))
    await collect(client, "core.identifiers", "token");
  await client.query("analyze lost_identifiers");
  const { rows } = await client.query<{ count: number }>("select count(*)::float8 as count from lost_identifiers");
  const lost: LostIdentifiers = { identifiers: rows[0]?.count ?? 0, rows: 0 };
  if (lost.identifiers === 0) return lost;
  for (const table of tables) lost.rows += await partRows(client, table);
  await client.query("delete from ops.quarantine where tokens && (select array_agg(token) from lost_identifiers)");
  await client.query("delete from ops.blocked_identifiers where token in (select token from lost_identifiers)");
  await partPeople(client, remembered);
  return lost;
}

interface TokenColumns {
  /** Columns with the token of an identifier; the owner's first. */
  tokens: string[];
  /** Columns with keys that were made of personal values and lead to nobody's row in the vault. */
  matchKeys: string[];
}

function tokenColumns(schema: StreamSchema): TokenColumns {
  const identifiers = Object.entries(schema.properties).filter(([, field]) => field.personal && field.identifier);
  return {
    tokens: ["owner_token", ...identifiers.map(([name]) => columnName(name))],
    matchKeys: Object.keys(schema.match_keys ?? {}).map((name) => columnName(name)),
  };
}

async function collect(client: ClientBase, table: string, column: string): Promise<void> {
  const quoted = quoteName(column);
  await client.query(
    `insert into lost_identifiers select distinct r.${quoted} from ${table} as r
     where r.${quoted} is not null and not exists (select from vault.identifiers as i where i.token = r.${quoted})
     on conflict do nothing`,
  );
}

async function partRows(
  client: ClientBase,
  { name, tokens, matchKeys }: TokenColumns & { name: string },
): Promise<number> {
  const isLost = (column: string): string => `r.${quoteName(column)} in (select token from lost_identifiers)`;
  const isOwnerLost = isLost("owner_token");
  const sets = [
    ...tokens.map(
      (column) => `${quoteName(column)} = case when ${isLost(column)} then null else r.${quoteName(column)} end`,
    ),
    ...["sealed", ...matchKeys].map(
      (column) => `${quoteName(column)} = case when ${isOwnerLost} then null else r.${quoteName(column)} end`,
    ),
  ];
  const { rowCount } = await client.query(
    `update ${name} as r set ${sets.join(", ")} where ${tokens.map((column) => isLost(column)).join(" or ")}`,
  );
  return rowCount ?? 0;
}

/** A person all of whose identifiers are lost goes, with the history and the memberships. */
async function partPeople(client: ClientBase, remembered: readonly TableDescription[]): Promise<void> {
  const names = remembered.map((table) => nameOf(table));
  if (!names.includes("core.identifiers") || !names.includes("core.people")) return;
  const gone = `select i.customer_id from core.identifiers as i left join lost_identifiers as l on l.token = i.token
    where i.customer_id <> ops.nobody() group by i.customer_id having bool_and(l.token is not null)`;
  for (const { schema, name, columns } of remembered) {
    if (name === "identifiers" || !columns.some((column) => column.name === "customer_id")) continue;
    await client.query(`delete from ${quoteName(schema, name)} where customer_id in (${gone})`);
  }
  await client.query("delete from core.identifiers where token in (select token from lost_identifiers)");
}
