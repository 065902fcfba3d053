import { Ajv } from "ajv";
import { LineCounter, parseDocument } from "yaml";
import { UserError, UserErrors } from "../domain/errors.ts";
import type { RelationSpec } from "./models/relation.ts";
import type { ModelFile } from "./models/syntax.ts";

export interface ContractColumn {
  name: string;
  /** A Postgres type as people write it: `timestamptz`. */
  type: ContractType;
  /** Whether every record must have a value. */
  required: boolean;
  /** Whether a staging model may leave the column out; it is null then. */
  optional: boolean;
  description: string;
}

/** What every source's records of one kind look like, from `sql/contracts/<name>.yaml`. */
export interface Contract {
  name: string;
  grain: string;
  /** Without `record_key`, `source` and `deleted_at`, which every contract has. */
  columns: ContractColumn[];
  file: string;
}

/** How Postgres itself names each type that a contract may use. */
export const CONTRACT_TYPES = {
  text: "text",
  uuid: "uuid",
  integer: "integer",
  bigint: "bigint",
  numeric: "numeric",
  boolean: "boolean",
  date: "date",
  timestamptz: "timestamp with time zone",
  jsonb: "jsonb",
} as const;
export type ContractType = keyof typeof CONTRACT_TYPES;

const NAME = "^[a-z][a-z0-9_]{0,62}$";
const validate = new Ajv({ allErrors: true }).compile<{
  grain: string;
  columns: Record<string, { type: ContractType; required?: boolean; optional?: boolean; description: string }>;
}>({
  type: "object",
  additionalProperties: false,
  required: ["grain", "columns"],
  properties: {
    grain: { type: "string", minLength: 1 },
    columns: {
      type: "object",
      minProperties: 1,
      propertyNames: { pattern: NAME, not: { enum: ["record_key", "source", "deleted_at"] } },
      additionalProperties: {
        type: "object",
        additionalProperties: false,
        required: ["type", "description"],
        properties: {
          type: { enum: Object.keys(CONTRACT_TYPES) },
          required: { type: "boolean" },
          optional: { type: "boolean" },
          description: { type: "string", minLength: 1 },
        },
      },
    },
  },
});

/**
 * The contracts of a SQL tree, by name. Throws UserErrors with file, line and mend where a declaration is wrong.
 * @param files the whole tree; only `contracts/*.yaml` is read
 */
export function loadContracts(files: readonly ModelFile[]): Map<string, Contract> {
  const contracts = new Map<string, Contract>();
  const errors: UserError[] = [];
  for (const file of files) {
    const name = /^contracts\/([a-z][a-z0-9_]*)\.yaml$/.exec(file.path)?.[1];
    if (!name) continue;
    const lines = new LineCounter();
    const document = parseDocument(file.text, { lineCounter: lines });
    const value: unknown = document.errors.length ? null : document.toJS();
    for (const error of document.errors) {
      const place = { file: file.displayFile, line: lines.linePos(error.pos[0]).line };
      errors.push(
        new UserError(`is not YAML (${error.code.toLowerCase().replaceAll("_", " ")}); mend the line.`, place),
      );
    }
    if (document.errors.length) continue;
    if (!validate(value)) {
      for (const error of validate.errors ?? []) {
        const path = error.instancePath.split("/").slice(1);
        const node = document.getIn(path, true) as { range?: [number, number, number] } | undefined;
        const place = { file: file.displayFile, ...(node?.range && { line: lines.linePos(node.range[0]).line }) };
        const detail = Object.values(error.params as object)
          .flat()
          .join(", ");
        errors.push(new UserError(`${path.join(".") || "the contract"} ${error.message} (${detail}).`, place));
      }
      continue;
    }
    const columns = Object.entries(value.columns).map(
      ([column, { type, required = false, optional = false, description }]) => ({
        name: column,
        type,
        required,
        optional,
        description,
      }),
    );
    contracts.set(name, { name, grain: value.grain, columns, file: file.displayFile });
  }
  if (errors.length) throw new UserErrors(errors);
  return contracts;
}

/** Describes a `<x>_token` column that a staging model adds to its contract. */
export const EXTRA_TOKEN = "Token that a source adds to the contract: it joins as its value would";

/** The table `core.<contract>` that all staging models of a contract are unioned into. */
export function contractSpec(contract: Contract): RelationSpec {
  return {
    name: `core.${contract.name}`,
    grain: contract.grain,
    materialize: "table",
    key: ["record_key"],
    follows: [],
    notNull: ["source", ...contract.columns.filter((column) => column.required).map((column) => column.name)],
    foreignKeys: [],
    columns: {
      record_key: "The record, wherever it goes: the same in raw, staging, core and mart",
      source: "The source that the record came from",
      ...Object.fromEntries(contract.columns.map(({ name, description }) => [name, description])),
    },
  };
}
