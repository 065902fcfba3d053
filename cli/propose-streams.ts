import { posix } from "node:path";
import type { DiscoveredStream } from "../connectors/connector.ts";
import { columnName, identifierKind, referenceColumn } from "../domain/columns.ts";
import { type FieldSchema, rawTableName, type StreamSchema } from "../domain/streams.ts";
import { flowScalar, flowYaml } from "../config.ts";
import { sqlName } from "./sql-name.ts";

/** What `discover` proposes for a source: files of the project, and the streams for `miette.yaml`. */
export interface Proposal {
  source: string;
  /** Paths from the project's folder, with their text. */
  files: { path: string; text: string }[];
  /** The stream's block in `miette.yaml`, by the stream's name. */
  streams: Record<string, object>;
}

/** Proposes a schema, a block of `miette.yaml` and a draft of a staging model for each stream. */
export function proposeStreams(source: string, discovered: DiscoveredStream[]): Proposal {
  const streams = discovered.map((stream) => ({ ...stream, schema: withOwnIds(source, stream.schema) }));
  return {
    source,
    files: streams.flatMap((stream) => [
      { path: schemaPath(source, stream.name), text: schemaText(stream.schema) },
      {
        path: posix.join("sql/models/staging", `${rawTableName(source, stream.name)}.sql`),
        text: modelText(source, stream),
      },
    ]),
    streams: Object.fromEntries(streams.map((stream) => [stream.name, streamBlock(source, stream)])),
  };
}

/** `7` is somebody else at another source, so ids that a source gives are a kind of its own: `shop_customer_id`. */
function withOwnIds(source: string, schema: StreamSchema): StreamSchema {
  const properties = Object.entries(schema.properties).map(([name, field]): [string, FieldSchema] => {
    const isOwnId = field.personal === "account_id" && field.identifier !== undefined;
    return [name, isOwnId ? { ...field, identifier: identifierKind(source, field.identifier as string) } : field];
  });
  return { ...schema, properties: Object.fromEntries(properties) };
}

/** The proposal as text to look at: the block of `miette.yaml`, then each file. */
export function formatProposal({ source, files, streams }: Proposal): string {
  const block = [
    `# miette.yaml, sources.${source}`,
    "streams:",
    ...streamLines(streams).map((line) => `  ${line}`),
    "",
  ].join("\n");
  return [block, ...files.map(({ path, text }) => `# ${path}\n${text}`)].join("\n");
}

/** One line for each stream: `orders: { key: [id], schema: schemas/shop/orders.yaml }`. */
export function streamLines(streams: Record<string, object>): string[] {
  return Object.entries(streams).map(([name, block]) => `${flowScalar(name)}: ${flowYaml(block)}`);
}

function schemaPath(source: string, stream: string): string {
  return posix.join("schemas", source, `${stream}.yaml`);
}

function streamBlock(source: string, { name, key, cursor, schema, config }: DiscoveredStream): object {
  const field = cursor === null ? undefined : schema.properties[cursor];
  return {
    ...(key ? { mode: "upsert", key } : { mode: "append" }),
    ...(cursor === null ? {} : { cursor }),
    ...(key && field && isOrdered(field) ? { version: cursor } : {}),
    schema: schemaPath(source, name),
    ...(config === undefined ? {} : { config }),
  };
}

function isOrdered(field: FieldSchema): boolean {
  const types = [field.type].flat().filter((type) => type !== "null");
  if (types.length !== 1) return false;
  return types[0] === "integer" || types[0] === "number" || field.format === "date" || field.format === "date-time";
}

/** A schema in the look of hand-written ones: a field on each line, with the reason for its label behind it. */
function schemaText(schema: StreamSchema): string {
  const { properties, references, match_keys, type, required, ...rest } = schema;
  const names = Object.keys(properties).map((name) => flowScalar(name));
  const width = Math.min(Math.max(...names.map((name) => name.length)), 24) + 1;
  const lines = Object.entries({ ...rest, type, ...(required?.length ? { required } : {}) }).map(
    ([key, value]) => `${flowScalar(key)}: ${flowYaml(value)}`,
  );
  lines.push("properties:");
  Object.values(properties).forEach(({ why, ...field }, index) => {
    const reason = typeof why === "string" ? ` # ${why.replace(/\s+/g, " ")}` : "";
    lines.push(`  ${`${names[index]}:`.padEnd(width)} ${flowYaml(withoutNestedDecimals(field))}${reason}`);
  });
  if (match_keys) lines.push(`match_keys: ${flowYaml(match_keys)}`);
  if (references?.length) lines.push("references:", ...references.map((reference) => `  - ${flowYaml(reference)}`));
  return `${lines.join("\n")}\n`;
}

/** `decimal` decides a column's type; on an array's items, which share one jsonb column, it would mean nothing. */
function withoutNestedDecimals(field: object): object {
  const { items, ...rest } = field as { items?: object };
  if (!items) return field;
  const { decimal: _, ...kept } = withoutNestedDecimals(items) as { decimal?: unknown };
  return { ...rest, items: kept };
}

/** A draft that is valid as it stands: every column of the raw table under a name of its own. */
function modelText(source: string, { name, schema }: DiscoveredStream): string {
  const taken = new Set<string>();
  const columns: string[] = [];
  const add = (column: string, wanted: string = column) => {
    let alias = wanted;
    for (let number = 2; taken.has(alias); number++) alias = `${wanted}_${number}`;
    taken.add(alias);
    columns.push(alias === column ? sqlName(column) : `${sqlName(column)} as ${sqlName(alias)}`);
  };
  add("record_key");
  add("deleted_at");
  for (const [fieldName, field] of Object.entries(schema.properties)) {
    const column = columnName(fieldName);
    if (field.personal && field.identifier) add(column, `${field.identifier}_token`);
    else if (!field.personal) add(column);
    for (const remain of field.keep ?? []) add(`${column}_${remain}`);
  }
  for (const kind of Object.keys(schema.match_keys ?? {})) add(columnName(kind), `${columnName(kind)}_token`);
  for (const { field } of schema.references ?? []) add(referenceColumn(field));
  return [
    `-- One row per record of ${name}, as ${source} has it.`,
    "select",
    columns.map((column) => `    ${column}`).join(",\n"),
    `from raw.${sqlName(rawTableName(source, name))}`,
    "",
  ].join("\n");
}
