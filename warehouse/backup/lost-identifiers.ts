import type { ClientBase } from "pg";
import { quoteName } from "../database.ts";
import { readRawTables, type RawTable } from "../erasure/raw-tables.ts";
import { readStateColumns, sweepFieldNames, sweepState } from "../erasure/sweep-state.ts";
import { holdErased } from "../erasure/sweep-raw.ts";
import { sweepTables } from "../erasure/sweep-tables.ts";
import { TOKEN_IN_TEXT } from "../erasure/sweep-texts.ts";
import { nameOf, type TableDescription } from "./tables.ts";

export interface LostIdentifiers {
  /** Identifiers that the restored rows carry and the vault has no key for any more. */
  identifiers: number;
  /** Rows of raw and its history that were taken out, or parted from them. */
  rows: number;
}

/**
 * Erases from the restored rows whom the current vault does not hold: their people were erased after the backup was
 * taken. Every identifier that lands is stored in the vault by the same transaction, so one that is missing there was
 * destroyed on purpose. The rows go through the sweep that they went through then; nothing of it is left for identity to
 * link by. Suppressed people are dealt with here, before anything else reads the rows.
 * @param remembered the tables of core and mart that were restored
 * @param facts raw tables whose records stay without their person, with the open columns that they lose
 */
export async function dropLostIdentifiers(
  client: ClientBase,
  remembered: readonly TableDescription[],
  facts: ReadonlyMap<string, readonly string[]>,
): Promise<LostIdentifiers> {
  await holdErased(client, []);
  const tables = await readRawTables(client);
  for (const table of tables) await collectLost(client, table);
  const names = remembered.map((table) => nameOf(table));
  const hasPeople = names.includes("core.identifiers") && names.includes("core.people");
  if (hasPeople) await collect(client, quoteName("core", "identifiers"), "r.token");
  await client.query("analyze erased_tokens");
  const { rows } = await client.query<{ token: string }>("select token from erased_tokens");
  const lost: LostIdentifiers = { identifiers: rows.length, rows: 0 };
  if (rows.length === 0) return lost;
  if (hasPeople) {
    await client.query(
      `insert into erased_people select i.customer_id, 0 from core.identifiers as i left join erased_tokens as e using (token)
       where i.customer_id <> ops.nobody() group by i.customer_id having bool_and(e.token is not null)`,
    );
  }
  const tokens = new Set(rows.map(({ token }) => token));
  // Who owns a record is not built yet; a strongest identifier that the vault knows is somebody living's.
  const isAnothers = "t.owner_token is not null and t.owner_token not in (select token from erased_tokens)";
  await sweepTables(
    { tables, facts, tokens, isAnothers },
    (work) => work(client),
    async (_client, counts) => {
      for (const count of Object.values(counts)) lost.rows += count;
    },
  );
  await sweepFieldNames(client);
  for (const state of await readStateColumns(client)) await sweepState(client, state);
  if (hasPeople) await partPeople(client, remembered);
  return lost;
}

async function collectLost(client: ClientBase, table: RawTable): Promise<void> {
  const columns = table.identifiers.filter((column) => !table.matchKeys.includes(column));
  for (const name of [table.name, `${table.name}__history`]) {
    const relation = quoteName("raw", name);
    for (const column of ["owner_token", ...columns]) await collect(client, relation, `r.${quoteName(column)}`);
    for (const { name: column } of table.texts) {
      const text = `r.${quoteName(column)}::text`;
      const found = `cross join lateral regexp_matches(${text}, '${TOKEN_IN_TEXT}', 'g') as found (groups)`;
      // Only of what has passed the cheaper test: a regular expression costs 20 times as much.
      const held = `(select * from ${relation} as r where ${text} like '%email\\_%' or ${text} like '%phone\\_%')`;
      await collect(client, held, "found.groups[1]", found);
    }
  }
}

async function collect(client: ClientBase, relation: string, token: string, joined = ""): Promise<void> {
  await client.query(
    `insert into erased_tokens select distinct ${token}, 0 from ${relation} as r ${joined}
     where ${token} is not null and not exists (select from vault.identifiers as i where i.token = ${token})
     on conflict do nothing`,
  );
}

/** A person all of whose identifiers are lost goes, with the history and the memberships. */
async function partPeople(client: ClientBase, remembered: readonly TableDescription[]): Promise<void> {
  for (const { schema, name, columns } of remembered) {
    if (name === "identifiers" || !columns.some((column) => column.name === "customer_id")) continue;
    await client.query(
      `delete from ${quoteName(schema, name)} where customer_id in (select customer_id from erased_people)`,
    );
  }
  await client.query("delete from core.identifiers where token in (select token from erased_tokens)");
  // A backup of an older version keeps links elsewhere.
  if (remembered.some(({ columns }) => columns.some(({ name }) => name === "linked_token"))) {
    await client.query(
      `update core.identifiers set linked_token = null, linked_record_key = null
       where linked_token in (select token from erased_tokens)`,
    );
  }
}
