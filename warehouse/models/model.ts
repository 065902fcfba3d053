import { UserError, UserErrors } from "../../domain/errors.ts";
import { outputColumns, type Output } from "./columns.ts";
import type { SettingName } from "./functions.ts";
import { parseModelHeader, type ModelHeader } from "./header.ts";
import type { RelationSpec } from "./relation.ts";
import { readSelect, type Reading } from "./select.ts";
import { parseSelect, type ModelFile, type Statement } from "./syntax.ts";

export type Layer = "staging" | "core" | "mart";

/** A SQL model: its file read as far as the file alone tells. */
export interface Model {
  layer: Layer;
  spec: RelationSpec;
  contract: string | null;
  purpose: string | null;
  statement: Statement;
  readings: Reading[];
  settings: ReadonlySet<SettingName>;
  output: Output;
  /** The header's line of a word (`key`, `column amount`), for errors found later. */
  lines: ReadonlyMap<string, number>;
}

/** Reads `models/<layer>/<name>.sql`. Throws UserErrors with file and line. */
export function loadModel(file: ModelFile): Model {
  const place = { file: file.displayFile };
  const match = /^models\/(staging|core|mart)\/([^/]+)\.sql$/.exec(file.path);
  if (!match) throw new UserError("a model lies in models/staging, models/core or models/mart.", place);
  const [, layer, name] = match as unknown as [string, Layer, string];
  // Postgres cuts names at 63 bytes; indexes and keys add an ending of up to 5.
  if (!/^[a-z][a-z0-9_]{0,57}$/.test(name)) {
    throw new UserError("a model's file is named like a table: lower-case letters, digits and _, at most 58.", place);
  }
  const header = parseModelHeader(file);
  const statement = parseSelect(file);
  const { readings, settings, errors } = readSelect(statement);
  const spec = specOf(`${layer}.${name}`, layer, header);
  errors.push(...checkHeader(layer, header, file));
  if (errors.length) throw new UserErrors(errors);
  const output = outputColumns(statement.select, () => null);
  errors.push(...checkNames(output, file));
  if (errors.length) throw new UserErrors(errors);
  return {
    layer,
    spec,
    contract: header.contract,
    purpose: header.purpose,
    statement,
    readings,
    settings,
    output,
    lines: header.lines,
  };
}

function specOf(name: string, layer: Layer, header: ModelHeader): RelationSpec {
  const { grain, key, follows, notNull, foreignKeys, columns } = header;
  const materialize = header.materialize ?? (layer === "staging" ? "view" : "table");
  return { name, grain, materialize, key, follows, notNull, foreignKeys, columns };
}

function checkHeader(layer: Layer, header: ModelHeader, file: ModelFile): UserError[] {
  const errors: UserError[] = [];
  const fail = (word: string, mend: string) =>
    errors.push(new UserError(mend, { file: file.displayFile, line: header.lines.get(word) ?? 1 }));
  const isView = (header.materialize ?? (layer === "staging" ? "view" : "table")) === "view";
  if (layer === "staging" && !isView) fail("materialize", "a staging model is a view: remove the line.");
  if (layer !== "staging" && header.contract) fail("contract", "only a staging model has a contract; move the file.");
  if (!isView && !header.key.length)
    fail("materialize", 'a table has a key: add "-- key: …", the columns that tell its rows apart.');
  if (isView) {
    if (header.key.length) fail("key", "a view has no key: remove the line or materialize a table.");
    if (header.notNull.length)
      fail("not null", "a view has no not null columns: remove the line or materialize a table.");
    if (header.foreignKeys.length)
      fail("foreign key", "a view has no foreign keys: remove the line or materialize a table.");
  }
  return errors;
}

function checkNames({ columns }: Output, file: ModelFile): UserError[] {
  const place = { file: file.displayFile };
  const names = columns.map((column) => column.name);
  const nameless = names.indexOf("?column?");
  if (nameless !== -1) return [new UserError(`column ${nameless + 1} has no name; add "as …".`, place)];
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  return twice ? [new UserError(`returns two columns named ${twice}; rename one with "as".`, place)] : [];
}
