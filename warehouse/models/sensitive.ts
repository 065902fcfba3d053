import { columnName } from "../../domain/columns.ts";
import { UserError } from "../../domain/errors.ts";
import { fieldsOfMatchPart, rawTableName, type SensitiveCategory, type Stream } from "../../domain/streams.ts";
import type { Check } from "./check.ts";
import { findReading } from "./find-reading.ts";
import type { Step } from "./steps.ts";
import { placeAt, type Statement } from "./syntax.ts";

/** Columns that tell of a special category, by relation: `raw.shop__patients` → `diagnosis` → `health`. */
type SensitiveColumns = Map<string, Map<string, SensitiveCategory>>;

/**
 * Refuses every model, segment, goal and check that reads a column of a special category without saying what for: the
 * column itself, or one that a model has made of it.
 * @param steps in the order in which they are built
 */
export function checkSensitive(
  streams: readonly Stream[],
  steps: readonly Step[],
  checks: readonly Check[],
  errors: UserError[],
): void {
  const sensitive = sensitiveColumns(streams, steps);
  if (sensitive.size === 0) return;
  const check = (statement: Statement, inputs: readonly string[], purpose: string | null): void => {
    if (purpose === null) errors.push(...readings(statement, inputs, sensitive));
  };
  for (const step of steps) {
    if (step.kind === "sql") check(step.model.statement, step.inputs, step.model.purpose);
    for (const select of step.kind === "node" ? (step.node.selects ?? []) : []) {
      check(
        select.statement,
        select.readings.map(({ relation }) => relation),
        select.purpose,
      );
    }
  }
  for (const { statement, readings: read, purpose } of checks) {
    check(
      statement,
      read.map(({ relation }) => relation),
      purpose,
    );
  }
}

/**
 * The columns that tell of a special category: those of the streams, and those that steps have made of them.
 * @param steps in the order in which they are built
 */
export function sensitiveColumns(streams: readonly Stream[], steps: readonly Step[]): SensitiveColumns {
  const sensitive = rawColumns(streams);
  if (sensitive.size > 0) for (const step of steps) passOn(step, sensitive);
  return sensitive;
}

function rawColumns(streams: readonly Stream[]): SensitiveColumns {
  const sensitive: SensitiveColumns = new Map();
  for (const { source, name, schema } of streams) {
    const columns = new Map<string, SensitiveCategory>();
    for (const [field, { sensitive: category, keep = [] }] of Object.entries(schema.properties)) {
      if (category === undefined) continue;
      const column = columnName(field);
      for (const each of [column, ...keep.map((remain) => `${column}_${remain}`)]) columns.set(each, category);
    }
    for (const [key, parts] of Object.entries(schema.match_keys ?? {})) {
      const category = parts
        .flatMap(fieldsOfMatchPart)
        .map((field) => schema.properties[field]?.sensitive)
        .find(Boolean);
      if (category) columns.set(columnName(key), category);
    }
    if (columns.size === 0) continue;
    sensitive.set(`raw.${rawTableName(source, name)}`, columns);
    sensitive.set(`raw.${rawTableName(source, name)}__history`, columns);
  }
  return sensitive;
}

/** One error for each column that is read, at the place where it is read first. */
function readings(statement: Statement, inputs: readonly string[], sensitive: SensitiveColumns): UserError[] {
  return [...new Set(inputs)].flatMap((relation) =>
    [...(sensitive.get(relation) ?? [])].flatMap(([column, category]) => {
      const location = findReading(statement, relation, column);
      if (location === null) return [];
      const mend = 'say what for in the header, as in "-- purpose: allergy_warnings", or leave the column out';
      const what = `reads ${relation}.${column}, which tells of ${category.replace("_", " ")}`;
      return [new UserError(`${what}; ${mend}.`, placeAt(statement, location))];
    }),
  );
}

/** A step's columns are sensitive where what they are made of is, or can't be told apart from it. */
function passOn(step: Step, sensitive: SensitiveColumns): void {
  for (const { name: relation, columns: described } of step.outputs) {
    const columns = new Map<string, SensitiveCategory>();
    const ofInputs = new Map(step.inputs.flatMap((input) => [...(sensitive.get(input) ?? [])]));
    if (ofInputs.size === 0) continue;
    if (step.kind === "sql") {
      const { output, statement } = step.model;
      const isRead = step.inputs.some((input) =>
        [...(sensitive.get(input) ?? [])].some(([column]) => findReading(statement, input, column) !== null),
      );
      for (const { name, sources, isResolved } of output.columns) {
        const own = sources.map((source) => sensitive.get(source.relation)?.get(source.column)).find(Boolean);
        const category = own ?? (isRead && !isResolved ? [...ofInputs.values()][0] : undefined);
        if (category) columns.set(name, category);
      }
      if (!output.isComplete) for (const [name, category] of ofInputs) columns.set(name, category);
    } else {
      // A contract's and a node's columns keep the names of those that they pass on.
      for (const [name, category] of ofInputs) if (Object.hasOwn(described, name)) columns.set(name, category);
    }
    if (columns.size > 0) sensitive.set(relation, columns);
  }
}
