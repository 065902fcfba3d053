import { UserErrors } from "../../domain/errors.ts";
import { outputColumns, type Output } from "./columns.ts";
import type { SettingName } from "./functions.ts";
import type { ComputeContext, Follow } from "./relation.ts";
import { redirect } from "./rewrite.ts";
import { readSelect, type Reading } from "./select.ts";
import { parseSelect, type ModelFile, type Statement } from "./syntax.ts";

/** A select over the mart that a node runs: a segment's, or a goal's measure. */
export interface MartSelect {
  statement: Statement;
  /** What it may read columns of special categories for; null: it may not. */
  purpose: string | null;
  readings: Reading[];
  settings: ReadonlySet<SettingName>;
  output: Output;
  /** Inputs of whose changes only the rows that they touch have to be computed again. */
  follows: Follow[];
}

/** Parses it under a model's rules. Throws UserErrors with their places. */
export function loadMartSelect(file: ModelFile, purpose: string | null, follows: Follow[] = []): MartSelect {
  const statement = parseSelect(file);
  const { readings, settings, errors } = readSelect(statement);
  if (errors.length) throw new UserErrors(errors);
  return { statement, purpose, readings, settings, output: outputColumns(statement.select, () => null), follows };
}

/** The relations that some selects read, each once. */
export function inputsOf(selects: readonly MartSelect[]): string[] {
  return [...new Set(selects.flatMap(({ readings }) => readings.map(({ relation }) => relation)))];
}

/** The settings that some selects read, each once. */
export function settingsOf(selects: readonly MartSelect[]): SettingName[] {
  return [...new Set(selects.flatMap(({ settings }) => [...settings]))];
}

/** The select's text, reading what the build under way has computed. */
export function textFor({ statement, readings }: MartSelect, context: ComputeContext): string {
  return redirect(statement, readings, (relation) => context.input(relation).split(".")[0]!);
}
