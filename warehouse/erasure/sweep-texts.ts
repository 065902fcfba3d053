import type pg from "pg";
import { quoteName } from "../database.ts";
import { recordChange } from "../relation-state.ts";
import type { RawTable } from "./raw-tables.ts";

/** A token in a longer text, as a regular expression with one group. */
export const TOKEN_IN_TEXT = "((?:email|phone)_[0-9a-f]{32})";
const TOKEN = new RegExp(TOKEN_IN_TEXT, "g");

/** What a text is looked at for first: a regular expression costs 20 times as much. */
const HINTS = ["%email\\_%", "%phone\\_%"];

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
  if (table.texts.length === 0) return changed;
  for (const name of [table.name, `${table.name}__history`]) {
    const rows = await sweepTable(client, name, table, erased);
    if (rows > 0) changed.push([`raw.${name}`, rows]);
  }
  if (changed.length > 0) await recordChange(client, table.relation);
  return changed;
}

async function sweepTable(
  client: pg.ClientBase,
  name: string,
  { texts }: RawTable,
  erased: ReadonlySet<string>,
): Promise<number> {
  const relation = quoteName("raw", name);
  const columns = texts.map((text) => ({ ...text, quoted: quoteName(text.name) }));
  const values = columns.map(({ quoted }) => `t.${quoted}::text`);
  const hasToken = values.map((value) => `(${value} like any($1) and ${value} ~ '${TOKEN_IN_TEXT}')`);
  // Rows are named by their place: a history has several of one record.
  const { rows } = await client.query<{ place: string; values: (string | null)[] }>(
    `select t.ctid::text as place, array[${values.join(", ")}] as values from ${relation} as t
     where ${hasToken.join(" or ")} for update`,
    [HINTS],
  );
  const hits = rows.flatMap(({ place, values: before }) => {
    const cut = before.map(
      (value) => value?.replace(TOKEN, (token) => (erased.has(token) ? "(erased)" : token)) ?? null,
    );
    return cut.every((value, i) => value === before[i]) ? [] : [{ place, cut }];
  });
  if (hits.length === 0) return 0;
  const own = name.endsWith("__history") ? "" : ", landed_xid = pg_current_xact_id()";
  const set = columns.map(({ quoted, isJson }, i) => `${quoted} = new.v${i}${isJson ? "::jsonb" : ""}`);
  await client.query(
    `update ${relation} as t set ${set.join(", ")}${own}
     from unnest($1::tid[], ${columns.map((_, i) => `$${i + 2}::text[]`).join(", ")})
       as new (place, ${columns.map((_, i) => `v${i}`).join(", ")}) where t.ctid = new.place`,
    [hits.map(({ place }) => place), ...columns.map((_, i) => hits.map(({ cut }) => cut[i] ?? null))],
  );
  return hits.length;
}
