import type { ClientBase } from "pg";
import { quoteName } from "../database.ts";
import { quoteRelation } from "./build.ts";
import { buildName, hasValidity, MODEL_SCHEMAS, type Shape } from "./catalog.ts";
import type { RelationSpec } from "./relation.ts";

/** What must change of a published table before its rows can be compared. */
export interface ShapeChange {
  added: Shape["columns"];
  /** Gone, or of another type: then dropped and added anew, since every row is compared anyway. */
  dropped: string[];
  isKeyChanged: boolean;
  /** Columns whose not-null constraint comes or goes. */
  notNull: { set: string[]; drop: string[] };
}

/** Null where the published table has the shape that was built. */
export function compareShapes(spec: RelationSpec, published: Shape, built: Shape): ShapeChange | null {
  const before = new Map(published.columns.map((column) => [column.name, column]));
  const after = new Map(built.columns.map((column) => [column.name, column]));
  const isOther = ({ name, type }: { name: string; type: string }) => before.get(name)?.type !== type;
  const asked = new Set([...spec.key, ...spec.notNull]);
  const change: ShapeChange = {
    added: built.columns.filter(isOther),
    dropped: published.columns.filter(({ name, type }) => after.get(name)?.type !== type).map(({ name }) => name),
    isKeyChanged:
      published.key.join("\0") !== spec.key.join("\0") || spec.key.some((name) => isOther(after.get(name)!)),
    notNull: {
      set: [...asked].filter((name) => !before.get(name)?.notNull || isOther(after.get(name)!)),
      drop: published.columns.filter((c) => c.notNull && !asked.has(c.name) && after.has(c.name)).map((c) => c.name),
    },
  };
  const isSame =
    !change.added.length &&
    !change.dropped.length &&
    !change.isKeyChanged &&
    !change.notNull.set.length &&
    !change.notNull.drop.length;
  return isSame ? null : change;
}

/** Moves a build table, keys and indexes included, to where it is published. */
export async function adoptTable(client: ClientBase, spec: RelationSpec): Promise<void> {
  const built = quoteRelation(buildName(spec.name));
  await client.query(`alter table ${built} owner to current_user, reset (autovacuum_enabled, toast.autovacuum_enabled);
    alter table ${built} set schema ${quoteName(spec.name.split(".")[0]!)}`);
  await grantRead(client, spec);
}

/** Columns go and come; a table whose key changes is emptied, since its rows can't be told apart by the new one. */
export async function alterTable(client: ClientBase, spec: RelationSpec, published: Shape, change: ShapeChange) {
  const table = quoteRelation(spec.name);
  if (change.isKeyChanged) {
    // Foreign keys that point here go with it; they are added again with all that are missing.
    if (published.keyName)
      await client.query(`alter table ${table} drop constraint ${quoteName(published.keyName)} cascade`);
    await client.query(`delete from ${table}`);
  }
  const actions = [
    ...change.dropped.map((name) => `drop column ${quoteName(name)}`),
    ...change.added.map(({ name, type }) => `add column ${quoteName(name)} ${type}`),
    ...change.notNull.drop.map((name) => `alter column ${quoteName(name)} drop not null`),
  ];
  if (actions.length) await client.query(`alter table ${table} ${actions.join(", ")}`);
}

/** Once the rows are there: not-null columns and, where it is missing, the primary key. One scan each. */
export async function finishShape(client: ClientBase, spec: RelationSpec, built: Shape, change: ShapeChange) {
  const actions = change.notNull.set.map((name) => `alter column ${quoteName(name)} set not null`);
  if (change.isKeyChanged) actions.push(addKey(spec, built));
  if (actions.length) await client.query(`alter table ${quoteRelation(spec.name)} ${actions.join(", ")}`);
}

/** `add primary key (…)`; a table of spans has none that overlap. */
export function addKey(spec: RelationSpec, shape: Shape): string {
  const columns = spec.key.map((name) => quoteName(name));
  if (hasValidity(spec, shape)) columns.push(`${columns.pop()} without overlaps`);
  return `add primary key (${columns.join(", ")})`;
}

/**
 * Adds the indexes that a table lacks: on the columns of its foreign keys, since a person's rows are looked up by them,
 * by the server too when the person goes, and on columns by which it is followed or follows others.
 * @param table the table itself or its build table
 * @param indexed lists of columns that should be the first of some index
 */
export async function alignIndexes(client: ClientBase, table: string, indexed: readonly (readonly string[])[]) {
  const { rows } = await client.query<{ columns: string[] }>(
    `select array(select a.attname::text from unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
       join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum order by k.place) as columns
     from pg_index i where i.indrelid = $1::regclass and i.indpred is null and i.indexprs is null`,
    [quoteRelation(table)],
  );
  const existing = rows.map(({ columns }) => columns);
  for (const columns of indexed) {
    if (existing.some((other) => columns.every((name, i) => other[i] === name))) continue;
    existing.push([...columns]);
    const names = columns.map((name) => quoteName(name)).join(", ");
    await client.query(`create index on ${quoteRelation(table)} (${names})`);
  }
}

/** The statement that adds a foreign key. */
export function addForeignKey(
  table: string,
  columns: readonly string[],
  target: string,
  key: readonly string[],
): string {
  const list = (names: readonly string[]) => names.map((name) => quoteName(name)).join(", ");
  return `alter table ${quoteRelation(table)} add foreign key (${list(columns)})
    references ${quoteRelation(target)} (${list(key)}) deferrable initially deferred`;
}

/** Foreign keys as the specs declare them: those that are missing are added, others dropped. */
export async function alignForeignKeys(
  client: ClientBase,
  specs: readonly RelationSpec[],
  shapes: ReadonlyMap<string, Shape>,
  keyOf: (relation: string) => readonly string[],
): Promise<void> {
  const name = ({ columns, references }: { columns: string[]; references: string }) =>
    `${columns.join()} ${references}`;
  for (const spec of specs) {
    const existing = shapes.get(spec.name)?.foreignKeys ?? [];
    for (const key of existing) {
      if (spec.foreignKeys.some((other) => name(other) === name(key))) continue;
      await client.query(`alter table ${quoteRelation(spec.name)} drop constraint ${quoteName(key.name)}`);
    }
    for (const key of spec.foreignKeys) {
      if (existing.some((other) => name(other) === name(key))) continue;
      await client.query(addForeignKey(spec.name, key.columns, key.references, keyOf(key.references)));
    }
  }
}

/**
 * Makes a view with its model's own text. Views of staging and core are read with the reader's own rights; those of the
 * mart let no function of the reader's see a row that they leave out.
 */
export async function createView(client: ClientBase, spec: RelationSpec, sql: string): Promise<void> {
  const options = spec.name.startsWith("mart.") ? "security_barrier" : "security_invoker";
  await client.query(`create view ${quoteRelation(spec.name)} with (${options} = true) as\n${sql}\n`);
  await grantRead(client, spec);
}

async function grantRead(client: ClientBase, spec: RelationSpec): Promise<void> {
  // By the tokens of a person an auditor finds what the person said.
  const reader = spec.name.startsWith("mart.") ? ", analyst" : spec.name === "core.identifiers" ? ", auditor" : "";
  await client.query(`grant select on ${quoteRelation(spec.name)} to transformer${reader}`);
}

/** Comments as the spec words them, where they differ from the database's. */
export async function alignComments(
  client: ClientBase,
  spec: RelationSpec,
  shape: Shape,
  quote: (text: string) => string,
) {
  const relation = quoteRelation(spec.name);
  if (shape.comment !== spec.grain) await client.query(`comment on ${shape.kind} ${relation} is ${quote(spec.grain)}`);
  for (const { name, comment } of shape.columns) {
    const asked = spec.columns[name] ?? null;
    if (comment === asked) continue;
    await client.query(`comment on column ${relation}.${quoteName(name)} is ${asked === null ? "null" : quote(asked)}`);
  }
}

/** The managed views that read a relation, directly or through other views. */
export async function viewsOver(client: ClientBase, relations: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ view: string }>(
    `with recursive reading as (
       select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname || '.' || c.relname = any ($1)
       union
       select r.ev_class from reading
       join pg_depend d on d.refobjid = reading.oid and d.refclassid = 'pg_class'::regclass and d.classid = 'pg_rewrite'::regclass
       join pg_rewrite r on r.oid = d.objid
     )
     select n.nspname || '.' || c.relname as view
     from reading join pg_class c on c.oid = reading.oid join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'v' and n.nspname = any ($2) and n.nspname || '.' || c.relname <> all ($1) order by 1`,
    [relations, MODEL_SCHEMAS],
  );
  return rows.map((row) => row.view);
}
