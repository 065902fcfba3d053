import type { ClientBase } from "pg";
import type { RelationSpec } from "./relation.ts";

/** A relation as the database has it. */
export interface Shape {
  kind: "view" | "table";
  /** In order; types as Postgres writes them, with their modifiers: `numeric(12,2)`. */
  columns: { name: string; type: string; notNull: boolean; comment: string | null }[];
  comment: string | null;
  /** Columns of the primary key, in its order; empty where there is none. */
  key: string[];
  keyName: string | null;
  foreignKeys: { name: string; columns: string[]; references: string }[];
}

const QUERY = `
select n.nspname || '.' || c.relname as relation,
  case c.relkind when 'v' then 'view' else 'table' end as kind,
  obj_description(c.oid, 'pg_class') as comment,
  (select coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
            'notNull', a.attnotnull, 'comment', col_description(c.oid, a.attnum)) order by a.attnum), '[]')
   from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  (select conname from pg_constraint where conrelid = c.oid and contype = 'p') as "keyName",
  (select coalesce(json_agg(a.attname order by k.place), '[]')
   from pg_constraint p, unnest(p.conkey) with ordinality as k (attnum, place), pg_attribute a
   where p.conrelid = c.oid and p.contype = 'p' and a.attrelid = c.oid and a.attnum = k.attnum) as key,
  (select coalesce(json_agg(json_build_object('name', f.conname, 'references', rn.nspname || '.' || r.relname,
     'columns', (select json_agg(a.attname order by k.place)
                 from unnest(f.conkey) with ordinality as k (attnum, place), pg_attribute a
                 where a.attrelid = c.oid and a.attnum = k.attnum)) order by f.conname), '[]')
   from pg_constraint f, pg_class r, pg_namespace rn
   where f.conrelid = c.oid and f.contype = 'f' and r.oid = f.confrelid and rn.oid = r.relnamespace) as "foreignKeys"
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v') and ($2::text[] is null or n.nspname || '.' || c.relname = any ($2))`;

/** The relations of some schemas, by name; with `only`, no others than these. */
export async function readShapes(client: ClientBase, schemas: string[], only?: string[]): Promise<Map<string, Shape>> {
  const { rows } = await client.query<Shape & { relation: string }>(QUERY, [schemas, only ?? null]);
  return new Map(rows.map(({ relation, ...shape }) => [relation, shape]));
}

/** `build_core.orders` of `core.orders`: where a build computes a relation. */
export function buildName(relation: string): string {
  return `build_${relation}`;
}

export const MODEL_SCHEMAS = ["staging", "core", "mart"];
export const BUILD_SCHEMAS = MODEL_SCHEMAS.map((schema) => `build_${schema}`);

/** Whether the rows are kept as ranges of validity that may not overlap (an SCD2 table). */
export function hasValidity(spec: RelationSpec, shape: Shape): boolean {
  const type = shape.columns.find((column) => column.name === "valid")?.type ?? "";
  return spec.key.length > 1 && spec.key.at(-1) === "valid" && type.endsWith("range");
}
