import type { ValidateFunction } from "ajv";
import { columnName, referenceColumn } from "../domain/columns.ts";
import { UserError } from "../domain/errors.ts";
import { REMAINS } from "../domain/remains.ts";
import { fieldsOfMatchPart, type FieldSchema, type JsonType, type StreamSchema } from "../domain/streams.ts";
import { checkSignals } from "./signals.ts";
import { hint } from "./suggest.ts";
import { findFlaws, packagedSchema } from "./validate.ts";
import { isObject, type Path, type YamlFile } from "./yaml-file.ts";

let validate: ValidateFunction | undefined;

/** A schema file as read, with what is wrong with it by itself. */
export interface SchemaFile {
  file: YamlFile;
  errors: UserError[];
  /** Null where not even the fields can be told. */
  schema: StreamSchema | null;
  /** Whether the whole of it has the shape of a schema. */
  isSound: boolean;
}

/** Checks a stream's schema: its words, and that its parts fit each other. */
export function checkSchema(file: YamlFile): SchemaFile {
  validate ??= packagedSchema("stream");
  const flaws = findFlaws(validate, file.data, file);
  const schema = file.data as StreamSchema;
  if (flaws.length) {
    const hasFields =
      isObject(schema) && isObject(schema.properties) && Object.values(schema.properties).every(isObject);
    return { file, errors: flaws.map(({ error }) => error), schema: hasFields ? schema : null, isSound: false };
  }
  const errors: UserError[] = [];
  const report = (path: Path, message: string) => errors.push(new UserError(message, file.place(path)));

  for (const [name, field] of Object.entries(schema.properties)) {
    checkField(field, ["properties", name], report);
    if (!isStorableName(name)) {
      report(
        ["properties"],
        "a field's name holds a control character or half of a surrogate pair, which no schema can keep; remove it, and it lands sealed.",
      );
    }
  }
  const names = Object.keys(schema.properties);
  const checkNames = (fields: readonly string[], path: Path) =>
    fields.forEach((field, index) => {
      if (!names.includes(field))
        report([...path, index], `${JSON.stringify(field)} is no field${hint(field, names, "the fields are")}`);
    });
  checkNames(schema.required ?? [], ["required"]);
  for (const [kind, parts] of Object.entries(schema.match_keys ?? {})) {
    for (const [index, part] of parts.entries()) {
      for (const field of fieldsOfMatchPart(part)) {
        if (!names.includes(field))
          report(
            ["match_keys", kind, index],
            `${JSON.stringify(field)} is no field${hint(field, names, "the fields are")}`,
          );
      }
    }
  }
  for (const [index, { field }] of (schema.references ?? []).entries()) {
    checkNames([field].flat(), ["references", index, "field"]);
  }
  checkSignals(schema, report);
  checkColumns(schema, report);
  return { file, errors, schema, isSound: true };
}

/** The schema is kept as jsonb, which can't hold every character. */
function isStorableName(name: string): boolean {
  return name.isWellFormed() && !/\p{Control}/u.test(name);
}

type Report = (path: Path, message: string) => void;

function checkField(field: FieldSchema, path: Path, report: Report): void {
  const types = typesOf(field);
  if (field.decimal) {
    const [precision, scale] = field.decimal;
    if (!types.includes("number"))
      report([...path, "decimal"], "is for fields of type number; change the type or remove it.");
    else if (precision < 1 || scale > precision) {
      report([...path, "decimal"], "must be the count of all digits, then of those after the point, as in [12, 2].");
    }
  }
  if (field.format && !types.includes("string")) {
    report([...path, "format"], "is for fields of type string; change the type or remove it.");
  }
  const remains = field.personal ? (REMAINS[field.personal] ?? []) : [];
  for (const [index, remain] of (field.keep ?? []).entries()) {
    if (remains.includes(remain)) continue;
    const mend = remains.length ? hint(remain, remains, "it offers") : "; it offers none, so remove it.";
    report([...path, "keep", index], `${JSON.stringify(remain)} is nothing that ${field.personal} can keep${mend}`);
  }
  checkNested(field, path, report);
}

/** A field is sealed as a whole, so that our words have no meaning on its parts. */
function checkNested(field: FieldSchema, path: Path, report: Report): void {
  const parts = Object.entries((field.properties ?? {}) as Record<string, FieldSchema>).map(
    ([name, part]): [Path, FieldSchema] => [[...path, "properties", name], part],
  );
  if (field.items) parts.push([[...path, "items"], field.items as FieldSchema]);
  for (const [partPath, part] of parts) {
    for (const word of ["personal", "identifier", "keep", "sensitive", "decimal"] as const) {
      if (part[word] === undefined) continue;
      report(
        [...partPath, word],
        `is for a whole field, not for a part of ${path[1]}; write it on ${path[1]} or remove it.`,
      );
    }
    checkNested(part, partPath, report);
  }
}

/** The columns that the raw table gets beside landing's own must have different names. */
function checkColumns(schema: StreamSchema, report: Report): void {
  const owners = new Map<string, string>();
  const claim = (column: string, owner: string, path: Path) => {
    const other = owners.get(column);
    if (other === undefined) owners.set(column, owner);
    else report(path, `${owner} and ${other} would both be the column ${column}; remove one of them.`);
  };
  for (const [name, field] of Object.entries(schema.properties)) {
    const path = ["properties", name];
    const column = columnName(name);
    if (!field.personal || field.identifier) claim(column, `the field ${JSON.stringify(name)}`, path);
    for (const remain of field.keep ?? [])
      claim(`${column}_${remain}`, `the ${remain} of ${JSON.stringify(name)}`, [...path, "keep"]);
  }
  for (const kind of Object.keys(schema.match_keys ?? {})) {
    claim(columnName(kind), `the match key ${JSON.stringify(kind)}`, ["match_keys", kind]);
  }
  for (const [index, { field, stream }] of (schema.references ?? []).entries()) {
    claim(referenceColumn(field), `the reference to ${stream}`, ["references", index]);
  }
}

/** The types of a field without `null`. */
export function typesOf(field: FieldSchema): JsonType[] {
  return [field.type].flat().filter((type) => type !== undefined && type !== "null");
}
