import { createHash } from "node:crypto";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import ajvFormats from "ajv-formats";
import { columnName, referenceColumn } from "../../domain/columns.ts";
import { rawTableName, type FieldSchema, type Reference, type Stream } from "../../domain/streams.ts";
import type { PlannedMatchPart } from "../../privacy/match-key.ts";
import { NORMALISER_VERSION } from "../../privacy/normalise.ts";
import { remainColumns, type RemainSettings } from "../../privacy/remains.ts";
import { isPhoneKey, type ScrubContext } from "../../privacy/scrubber.ts";
import { planSignals, type SignalPlan } from "./signals.ts";
import { fieldType, type FieldType } from "./values.ts";

/** A column of a raw table beside those that landing adds. */
export interface Column {
  name: string;
  /** Its type in SQL. */
  type: string;
}

export interface FieldPlan {
  name: string;
  schema: FieldSchema;
  /** Whether a record without the field is rejected; else its absence is read as null. */
  isRequired: boolean;
  type: FieldType;
  /** Keywords beyond type, format and decimal, compiled; null where there are none. */
  validate: ValidateFunction | null;
  /** Where its own column stands among the plan's: an open field's value or an identifier's token; null where it has none. */
  column: number | null;
  /** How its open text is scrubbed. */
  scrubbing: ScrubContext;
  /** Names of the columns that keep its remains, in the order of `schema.keep`. */
  remains: Column[];
}

/** All that landing a stream's records needs to know, compiled once per sync. */
export interface StreamPlan {
  stream: Stream;
  /** Table name within the schema `raw`. */
  table: string;
  fields: FieldPlan[];
  fieldIndex: ReadonlyMap<string, number>;
  columns: Column[];
  references: { reference: Reference; fields: number[]; column: string }[];
  matchKeys: { name: string; parts: PlannedMatchPart[][]; column: string }[];
  /** What its records say about the use of their person's data. */
  signals: SignalPlan[];
  /** Field indexes of the record's key; null for a keyless stream. */
  key: number[] | null;
  version: number | null;
  window: number | null;
  /** Identifier kinds by the project's priority, strongest first. */
  kindOrder: ReadonlyMap<string, number>;
  defaultCountry: string | null;
  ageOfConsent: number;
  /** Names the schema and normalisers by which records are understood: part of every content hash. */
  definition: string;
}

/** Keywords that `fieldType` itself enforces, or that are words of ours: nothing left for ajv. */
const HANDLED = new Set([
  "type",
  "decimal",
  "personal",
  "identifier",
  "keep",
  "sensitive",
  "description",
  "title",
  "examples",
  "default",
  "contentEncoding",
  "$comment",
]);
const HANDLED_FORMATS = new Set(["date", "date-time", "uuid"]);

const ajv = new Ajv2020({ strict: false, allErrors: false, validateSchema: false });
// The package's types describe CommonJS; under ESM the function is the module's default.
(ajvFormats as unknown as (instance: Ajv2020) => void)(ajv);

/**
 * Compiles a stream for landing.
 * @param textual whether its connector gives text values
 * @param options.kinds identifier kinds, strongest first
 */
export function planStream(
  stream: Stream,
  textual: boolean,
  options: { kinds: string[] } & RemainSettings,
): StreamPlan {
  const required = new Set(stream.schema.required);
  const fields = Object.entries(stream.schema.properties).map(([name, schema]): FieldPlan => ({
    name,
    schema,
    isRequired: required.has(name),
    type: fieldType(schema, textual),
    validate: compileConstraints(schema),
    column: null,
    // Looked at once, and not with every text.
    scrubbing: { defaultCountry: options.defaultCountry, ...(isPhoneKey(name) && { key: name }) },
    remains: remainColumns(columnName(name), schema),
  }));
  let columns = 0;
  for (const field of fields) {
    const own = ownColumns(field).length;
    if (own > field.remains.length) field.column = columns;
    columns += own;
  }
  const fieldIndex = new Map(fields.map((field, index) => [field.name, index]));
  const indexOf = (name: string): number => {
    const index = fieldIndex.get(name);
    if (index === undefined) throw new Error(`${stream.schemaFile}: the field ${name} is not declared`);
    return index;
  };
  const references = (stream.schema.references ?? []).map((reference) => ({
    reference,
    fields: [reference.field].flat().map(indexOf),
    column: referenceColumn(reference.field),
  }));
  const matchKeys = Object.entries(stream.schema.match_keys ?? {}).map(([name, parts]) => ({
    name,
    parts: parts.map((part) =>
      [part].flat().map((one): PlannedMatchPart => {
        const asked = typeof one === "string" ? { field: one } : one;
        return { ...asked, index: indexOf(asked.field), personal: stream.schema.properties[asked.field]?.personal };
      }),
    ),
    column: columnName(name),
  }));
  return {
    stream,
    table: rawTableName(stream.source, stream.name),
    fields,
    fieldIndex,
    columns: [
      ...fields.flatMap((field) => ownColumns(field)),
      ...matchKeys.map(({ column }) => ({ name: column, type: "text" })),
      ...references.map(({ column }) => ({ name: column, type: "uuid" })),
    ],
    references,
    matchKeys,
    signals: planSignals(stream, fields),
    key: stream.key && stream.key.map(indexOf),
    version: stream.version === null ? null : indexOf(stream.version),
    window: stream.window === null ? null : indexOf(stream.window),
    kindOrder: new Map(options.kinds.map((kind, index) => [kind, index])),
    defaultCountry: options.defaultCountry,
    ageOfConsent: options.ageOfConsent,
    definition: createHash("sha256")
      .update(
        JSON.stringify([
          NORMALISER_VERSION,
          stream.schema,
          stream.key,
          stream.version,
          options.defaultCountry,
          ...(fields.some(({ schema }) => schema.keep?.includes("age_band")) ? [options.ageOfConsent] : []),
        ]),
      )
      .digest("hex")
      .slice(0, 32),
  };
}

/** An open field has its column, an identifier its token's; any other personal field only its remains. */
function ownColumns(field: FieldPlan): Column[] {
  const { personal, identifier } = field.schema;
  if (personal && identifier) return [{ name: columnName(field.name), type: "text" }, ...field.remains];
  return personal ? field.remains : [{ name: columnName(field.name), type: field.type.sql }];
}

function compileConstraints(schema: FieldSchema): ValidateFunction | null {
  const rest = Object.entries(schema).filter(
    ([keyword, value]) => !HANDLED.has(keyword) && !(keyword === "format" && HANDLED_FORMATS.has(String(value))),
  );
  return rest.length === 0 ? null : ajv.compile(Object.fromEntries(rest));
}
