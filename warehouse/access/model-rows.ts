import type pg from "pg";
import { quoteName } from "../database.ts";
import type { RawTable } from "../erasure/raw-tables.ts";
import { quoteRelation } from "../models/build.ts";
import type { ColumnSource } from "../models/columns.ts";
import type { Graph } from "../models/graph.ts";
import { passedOn } from "../models/lineage.ts";
import type { SubjectRows } from "./subject-rows.ts";

/** Keys of the records that are the person's. */
export const MINE = "(select record_key from subject_rows where not is_anothers)";

/** By what a row is told to be somebody's; `about`: by the event or the order that it is about, whose ids are the records'. */
type Anchor = "person" | "record" | "token" | "about";

const HOLDS: Record<Anchor, { type: string; values: string }> = {
  person: { type: "uuid", values: "(select customer_id from erased_people)" },
  record: { type: "uuid", values: MINE },
  token: { type: "text", values: "(select token from erased_tokens)" },
  about: { type: "uuid", values: MINE },
};
const NAMES: readonly [Anchor, RegExp][] = [
  ["person", /(?:^|_)customer_id$/],
  ["record", /(?:^|_)record_key$/],
  ["token", /(?:^|_)token$|^customer_ref$/],
  ["about", /(?:^|_)(?:event|order)_id$/],
];

interface Table {
  relation: string;
  columns: { name: string; type: string }[];
}

/**
 * Tables of models, each with how its rows are told to be the person's: by a column that is named for it, by one that passes
 * such a column on under another name, as the models' lineage has it, or by the key of a table that is told so.
 * @returns strange: tables that nothing tells
 */
export async function findModelRows(
  client: pg.ClientBase,
  graph: Graph,
  raw: readonly RawTable[],
): Promise<{ reached: Omit<SubjectRows, "rows">[]; strange: string[] }> {
  const { rows: tables } = await client.query<Table>(
    `select n.nspname || '.' || c.relname as relation,
       json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, null)) order by a.attnum) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
     where n.nspname in ('core', 'mart') and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
     group by 1 order by 1`,
  );
  const models = tables.filter(({ relation }) => graph.specs.has(relation));
  const identifiers = new Set(raw.flatMap((table) => table.identifiers.map((name) => `${table.relation}.${name}`)));
  const whereOf = new Map<string, string>();
  for (const { relation, columns } of models) {
    const conditions = { direct: [] as string[], about: [] as string[] };
    for (const { name, type } of columns) {
      for (const anchor of anchorsOf(graph, identifiers, { relation, column: name })) {
        if (HOLDS[anchor].type !== type) continue;
        conditions[anchor === "about" ? "about" : "direct"].push(`t.${quoteName(name)} in ${HOLDS[anchor].values}`);
      }
    }
    const told = conditions.direct.length > 0 ? conditions.direct : conditions.about;
    if (told.length > 0) whereOf.set(relation, `(${told.join(" or ")})`);
  }
  // What points at a row of the person's, and has no person of its own, is the person's too.
  const pointers = [...(await readForeignKeys(client)), ...models.flatMap((table) => passedKeys(graph, table))];
  for (let before = -1; before !== whereOf.size;) {
    before = whereOf.size;
    for (const { relation, column, parent, parentColumn } of pointers) {
      const where = whereOf.get(parent);
      if (!where || whereOf.has(relation) || !graph.specs.has(relation)) continue;
      const rowsOf = `select t.${quoteName(parentColumn)} from ${quoteRelation(parent)} as t where ${where}`;
      whereOf.set(relation, `t.${quoteName(column)} in (${rowsOf})`);
    }
  }
  const reached = [...whereOf].map(([relation, where]) => ({
    relation,
    kind: relation.startsWith("mart.") ? ("derived" as const) : ("copy" as const),
    where,
  }));
  const strange = tables.map(({ relation }) => relation).filter((relation) => !whereOf.has(relation));
  return { reached, strange };
}

/** By what a column tells whose a row is: by its name, else by the columns whose values it passes on. */
function anchorsOf(graph: Graph, identifiers: ReadonlySet<string>, column: ColumnSource): Set<Anchor> {
  if (identifiers.has(`${column.relation}.${column.column}`)) return new Set(["token"]);
  const named = NAMES.find(([, pattern]) => pattern.test(column.column));
  if (named) return new Set([named[0]]);
  return new Set(passedOn(graph, column).flatMap((source) => [...anchorsOf(graph, identifiers, source)]));
}

interface Pointer {
  relation: string;
  column: string;
  parent: string;
  parentColumn: string;
}

/** Columns that pass on the key of another table, which a model may do without saying so by a foreign key. */
function passedKeys(graph: Graph, { relation, columns }: Table): Pointer[] {
  const sourcesOf = (column: ColumnSource): ColumnSource[] =>
    passedOn(graph, column).flatMap((source) => [source, ...sourcesOf(source)]);
  return columns.flatMap(({ name }) =>
    sourcesOf({ relation, column: name }).flatMap(({ relation: parent, column: parentColumn }) =>
      graph.specs.get(parent)?.key.join() === parentColumn ? [{ relation, column: name, parent, parentColumn }] : [],
    ),
  );
}

async function readForeignKeys(client: pg.ClientBase): Promise<Pointer[]> {
  const { rows } = await client.query<Pointer>(
    `select fn.nspname || '.' || f.relname as relation, fa.attname as column, pn.nspname || '.' || p.relname as parent,
       pa.attname as "parentColumn"
     from pg_constraint k join pg_class f on f.oid = k.conrelid join pg_namespace fn on fn.oid = f.relnamespace
     join pg_class p on p.oid = k.confrelid join pg_namespace pn on pn.oid = p.relnamespace
     join pg_attribute fa on fa.attrelid = f.oid and fa.attnum = k.conkey[1]
     join pg_attribute pa on pa.attrelid = p.oid and pa.attnum = k.confkey[1]
     where k.contype = 'f' and cardinality(k.conkey) = 1 and fn.nspname in ('core', 'mart') and pn.nspname in ('core', 'mart')`,
  );
  return rows;
}
