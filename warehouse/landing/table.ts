import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import type { FieldSchema, StreamSchema } from "../../domain/streams.ts";
import { columnName } from "../../domain/columns.ts";
import { quoteName } from "../database.ts";
import type { Column, StreamPlan } from "./plan.ts";

/** What landing adds to every record. */
const LANDED: Column[] = [
  { name: "record_key", type: "uuid not null" },
  { name: "version", type: "numeric" },
  { name: "content_hash", type: "uuid not null" },
  { name: "sealed", type: "bytea" },
  { name: "owner_token", type: "text" },
  { name: "reload", type: "integer not null" },
  { name: "landed_at", type: "timestamptz not null default now()" },
];

/** Changes of a column's type that lose nothing, so that they are made by themselves. */
const WIDENS: Record<string, string[]> = {
  bigint: ["numeric", "text"],
  numeric: ["text"],
  date: ["text"],
  uuid: ["text"],
  boolean: ["text"],
};

/**
 * Makes the raw table and its history follow the stream's schema: columns are added, never dropped.
 * @returns the stream's reload number, which rises when its definition has changed
 */
export async function followSchema(client: pg.ClientBase, plan: StreamPlan): Promise<number> {
  const { source, name, schema } = plan.stream;
  // Two syncs of one new stream would both create its table.
  await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`raw.${plan.table}`]);
  const { rows } = await client.query<{ reload: number; definition_hash: string; schema: StreamSchema }>(
    "select reload, definition_hash, schema from ops.streams where source = $1 and stream = $2",
    [source, name],
  );
  const known = rows[0];
  if (known?.definition_hash === plan.definition) return known.reload;
  await createTables(client, plan);
  await addColumns(client, plan);
  if (known) await emptyNewlyPersonal(client, plan, known.schema);
  const reload = (known?.reload ?? 0) + 1;
  if (known && landsAs(known.schema) !== landsAs(schema)) {
    await askForReprocessing(client, plan, reload, changedFields(known.schema, schema));
  }
  await client.query(
    `insert into ops.streams (source, stream, reload, definition_hash, schema) values ($1, $2, $3, $4, $5)
     on conflict (source, stream) do update set reload = excluded.reload, definition_hash = excluded.definition_hash, schema = excluded.schema`,
    [source, name, reload, plan.definition, JSON.stringify(schema)],
  );
  return reload;
}

/** What of a schema decides what lands, and as what. */
function landsAs(schema: StreamSchema): string {
  return JSON.stringify([...landingOf(schema)]);
}

/** The same for each field and match key, by name. */
function landingOf({ properties, match_keys = {}, signals = [] }: StreamSchema): Map<string, string> {
  const fields = Object.entries(properties).map(([name, { type, format, decimal, personal, identifier, keep }]) => {
    const said = signals.filter(({ field }) => field === name);
    return [name, JSON.stringify({ type, format, decimal, personal, identifier, keep, said })] as const;
  });
  const keys = Object.entries(match_keys).map(([name, parts]) => [name, JSON.stringify(parts)] as const);
  return new Map([...fields, ...keys]);
}

/** Fields and match keys that land in another way than before. */
function changedFields(before: StreamSchema, after: StreamSchema): string[] {
  const known = landingOf(before);
  return [...landingOf(after)].flatMap(([name, landing]) => (known.get(name) === landing ? [] : [name]));
}

/** Rows that landed before are brought under the schema; fields that it declares are no longer undeclared. */
async function askForReprocessing(
  client: pg.ClientBase,
  plan: StreamPlan,
  reload: number,
  fields: string[],
): Promise<void> {
  const { source, name, schema } = plan.stream;
  await client.query(
    `insert into ops.reprocessings (source, stream, reload, fields, rows_total)
     select $1, $2, $3, $4,
       (select count(*) from ${quoteName("raw", plan.table)}) + (select count(*) from ${quoteName("raw", `${plan.table}__history`)})
     on conflict (source, stream) do update
       set reload = excluded.reload, fields = excluded.fields, rows_total = excluded.rows_total, is_in_history = false, after_key = null, after_hash = null, rows_read = 0,
         rows_changed = 0, values_refused = 0, started_at = now(), finished_at = null`,
    [source, name, reload, fields],
  );
  await client.query("delete from ops.undeclared_fields where source = $1 and stream = $2 and field = any($3)", [
    source,
    name,
    Object.keys(schema.properties),
  ]);
}

/**
 * Whether the stream's table still follows this plan, held until the transaction's end: rows of an older schema that landed
 * behind a reprocessing would stay as they are.
 */
export async function holdsDefinition(client: pg.ClientBase, plan: StreamPlan): Promise<boolean> {
  const { rowCount } = await client.query(
    "select from ops.streams where source = $1 and stream = $2 and definition_hash = $3 for share",
    [plan.stream.source, plan.stream.name, plan.definition],
  );
  return rowCount === 1;
}

async function createTables(client: pg.ClientBase, plan: StreamPlan): Promise<void> {
  const columns = [...LANDED, ...plan.columns].map(({ name, type }) => `${quoteName(name)} ${type}`).join(", ");
  const table = quoteName("raw", plan.table);
  const { rowCount: isThere } = await client.query("select where to_regclass($1) is not null", [table]);
  if (!isThere) {
    await client.query(
      `create table ${table} (${columns},
         record_seq bigint generated always as identity,
         deleted_at timestamptz,
         landed_xid xid8 not null default pg_current_xact_id(),
         primary key (record_key))`,
    );
    // Builds find by it what has landed since the last one.
    await client.query(`create index on ${table} (landed_xid)`);
  }
  await client.query(
    `create table if not exists ${quoteName("raw", `${plan.table}__history`)} (${columns},
       superseded_at timestamptz not null default now(),
       unique nulls not distinct (record_key, version, content_hash))`,
  );
}

async function addColumns(client: pg.ClientBase, plan: StreamPlan): Promise<void> {
  for (const table of [plan.table, `${plan.table}__history`]) {
    const { rows } = await client.query<{ name: string; type: string }>(
      `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
       where attrelid = $1::regclass and attnum > 0 and not attisdropped`,
      [quoteName("raw", table)],
    );
    const existing = new Map(rows.map((row) => [row.name, row.type]));
    for (const column of plan.columns) {
      const type = existing.get(column.name);
      if (type === undefined) {
        await client.query(
          `alter table ${quoteName("raw", table)} add column ${quoteName(column.name)} ${column.type}`,
        );
      } else if (spell(type) !== spell(column.type)) {
        await changeType(client, plan, table, column, type);
      }
    }
  }
}

/** Postgres spells some types another way than the schema does. */
function spell(type: string): string {
  return type.replace("timestamp with time zone", "timestamptz").replaceAll(" ", "");
}

async function changeType(
  client: pg.ClientBase,
  plan: StreamPlan,
  table: string,
  column: Column,
  from: string,
): Promise<void> {
  const [base = ""] = from.split("(");
  const isWider = WIDENS[base]?.includes(column.type) || widensNumeric(from, column.type);
  if (!isWider) {
    throw new UserError(
      `the column ${column.name} of raw.${plan.table} is ${from} and can't become ${column.type} without loss; give the field another name in the source's query, or keep its type`,
      { file: plan.stream.schemaFile, key: `properties.${column.name}` },
    );
  }
  await client.query("select staging.drop_views_over($1)", [quoteName("raw", table)]);
  await client.query(
    `alter table ${quoteName("raw", table)} alter column ${quoteName(column.name)} type ${column.type}`,
  );
}

function widensNumeric(from: string, to: string): boolean {
  const [before, after] = [from, to].map((type) => /^numeric\((\d+),(\d+)\)$/.exec(type));
  if (!before) return false;
  if (to === "numeric") return true;
  if (!after) return false;
  const scale = Number(after[2]) - Number(before[2]);
  return scale >= 0 && Number(after[1]) - Number(before[1]) >= scale;
}

/** A field that was open and is personal now must not stay readable in the rows that landed before. */
async function emptyNewlyPersonal(client: pg.ClientBase, plan: StreamPlan, before: StreamSchema): Promise<void> {
  for (const [name, field] of Object.entries(plan.stream.schema.properties)) {
    const old: FieldSchema | undefined = before.properties[name];
    if (!old || old.personal || !field.personal) continue;
    for (const table of [plan.table, `${plan.table}__history`]) {
      await client.query(
        `update ${quoteName("raw", table)} set ${quoteName(columnName(name))} = null where ${quoteName(columnName(name))} is not null`,
      );
    }
  }
}
