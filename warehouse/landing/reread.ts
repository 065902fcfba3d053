import { parseJson } from "../../domain/json.ts";
import { open } from "../../privacy/sealing.ts";
import type { FieldPlan, StreamPlan } from "./plan.ts";
import { fieldType, type FieldType } from "./values.ts";
import { brokenConstraint, type Prepared } from "./record.ts";
import { type Parsed, Rejection } from "./rejection.ts";
import { rowIdentity } from "./seal.ts";

/** A row of a raw table or its history, as far as a record can be read from it. */
export interface LandedRow {
  recordKey: string;
  contentHash: string;
  version: string | null;
  sealed: Buffer | null;
  ownerToken: string | null;
  /** Text of the plan's columns, in their order. */
  columns: (string | null)[];
}

interface Secret {
  personal?: Record<string, unknown>;
  undeclared?: Record<string, unknown>;
}

/**
 * The record that a row was made of, as its stream's schema now reads it: declared fields from the row's columns, from
 * what is sealed, and from the vault.
 * @param key what the row is sealed under
 * @param valueOf the canonical form that a token stands for, or null where it is not known
 * @returns with the record, the text that was sealed, and how many values break the schema: these stay undeclared
 */
export function reread(
  plan: StreamPlan,
  row: LandedRow,
  key: Buffer,
  valueOf: (token: string) => string | null,
): { prepared: Prepared; secret: string | null; refused: number } {
  const identity = rowIdentity(plan.table, row.recordKey, row.contentHash);
  const secret = row.sealed === null ? null : open(key, identity, row.sealed).toString("utf8");
  const { personal = {}, undeclared = {} } = secret === null ? {} : (parseJson(secret) as Secret);
  // A field that is no longer declared stays sealed, as one that never was.
  for (const [name, value] of Object.entries(personal)) {
    if (!plan.fieldIndex.has(name)) undeclared[name] = value;
  }
  let refused = 0;
  const keep = (name: string, value: unknown): null => {
    refused += 1;
    undeclared[name] = value;
    return null;
  };
  const values = plan.fields.map((field): string | null => {
    if (Object.hasOwn(undeclared, field.name)) {
      const value = undeclared[field.name];
      const parsed = fit(field, field.type, value);
      if (parsed instanceof Rejection) return keep(field.name, value);
      delete undeclared[field.name];
      return parsed;
    }
    if (Object.hasOwn(personal, field.name)) {
      const value = personal[field.name];
      // Sealed as the text that a column would hold; what is open now has to fit its type again.
      if (field.schema.personal && typeof value === "string") return value;
      const parsed = fit(field, fieldType(field.schema, true), value);
      return parsed instanceof Rejection ? keep(field.name, value) : parsed;
    }
    const column = field.column === null ? null : (row.columns[field.column] ?? null);
    return column === null || !field.schema.personal ? column : valueOf(column);
  });
  const { recordKey, contentHash, version } = row;
  const rest = Object.keys(undeclared).length === 0 ? null : undeclared;
  return {
    prepared: { recordKey, contentHash, version, values, undeclared: rest, window: null },
    secret,
    refused,
  };
}

function fit(field: FieldPlan, type: FieldType, value: unknown): Parsed {
  const parsed = type.parse(value);
  if (parsed === null || parsed instanceof Rejection) return parsed;
  const broken = brokenConstraint(field, parsed, value);
  return broken === null ? parsed : new Rejection(broken);
}
