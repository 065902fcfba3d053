import type pg from "pg";
import { quoteName } from "../database.ts";
import { recordChange } from "../relation-state.ts";
import type { RawTable } from "./raw-tables.ts";

/** A token in a longer text, as a regular expression with one group. */
export const TOKEN_IN_TEXT = "((?:email|phone)_[0-9a-f]{32})";
const TOKEN = new RegExp(TOKEN_IN_TEXT, "g");

/**
 * Takes the tokens of erased people out of the open text and JSON of what others wrote: an address in a page's URL, a
 * number in a note. In the caller's transaction. @returns rows changed, by relation
 */
export async function sweepTexts(
  client: pg.ClientBase,
  table: RawTable,
  erased: ReadonlySet<string>,
): Promise<[relation: string, rows: number][]> {
  const changed: [string, number][] = [];
  for (const name of [table.name, `${table.name}__history`]) {
    let rows = 0;
    for (const { name: column, isJson } of table.texts) rows += await sweepColumn(client, name, column, isJson, erased);
    if (rows > 0) changed.push([`raw.${name}`, rows]);
  }
  if (changed.length > 0) await recordChange(client, table.relation);
  return changed;
}

async function sweepColumn(
  client: pg.ClientBase,
  table: string,
  column: string,
  isJson: boolean,
  erased: ReadonlySet<string>,
): Promise<number> {
  const [relation, name] = [quoteName("raw", table), quoteName(column)];
  // Rows are named by their place: a history has several of one record.
  const { rows } = await client.query<{ place: string; value: string }>(
    `select t.ctid::text as place, t.${name}::text as value from ${relation} as t
     where (t.${name}::text like '%email\\_%' or t.${name}::text like '%phone\\_%')
       -- Only of what has passed the cheaper test: a regular expression costs 20 times as much.
       and t.${name}::text ~ '${TOKEN_IN_TEXT}'
     for update`,
  );
  const hits = rows.flatMap(({ place, value }) => {
    const cut = value.replace(TOKEN, (token) => (erased.has(token) ? "(erased)" : token));
    return cut === value ? [] : [{ place, cut }];
  });
  if (hits.length === 0) return 0;
  const own = table.endsWith("__history") ? "" : ", landed_xid = pg_current_xact_id()";
  await client.query(
    `update ${relation} as t set ${name} = new.value${isJson ? "::jsonb" : ""}${own}
     from unnest($1::tid[], $2::text[]) as new (place, value) where t.ctid = new.place`,
    [hits.map(({ place }) => place), hits.map(({ cut }) => cut)],
  );
  return hits.length;
}
