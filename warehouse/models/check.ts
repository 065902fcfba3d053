import { createHash } from "node:crypto";
import { UserError, UserErrors } from "../../domain/errors.ts";
import { outputColumns, type Output } from "./columns.ts";
import { parseCheckHeader, type Severity } from "./header.ts";
import type { SettingName } from "./functions.ts";
import type { Follow } from "./relation.ts";
import { readSelect, type Reading } from "./select.ts";
import { parseSelect, type ModelFile, type Statement } from "./syntax.ts";

/** A sentence about the mart and the select that returns the rows which break it. */
export interface Check {
  name: string;
  sentence: string;
  severity: Severity;
  purpose: string | null;
  statement: Statement;
  readings: Reading[];
  /** Inputs of whose changes only the rows that they touch have to be checked again. */
  follows: Follow[];
  output: Output;
  settings: ReadonlySet<SettingName>;
  /** Of its file. */
  hash: string;
}

/** Reads `checks/<name>.sql`. Throws UserErrors with file and line. */
export function loadCheck(file: ModelFile): Check {
  const name = /^checks\/([a-z][a-z0-9_]*)\.sql$/.exec(file.path)?.[1];
  if (!name)
    throw new UserError("a check is a file checks/<name>.sql, named in snake_case.", { file: file.displayFile });
  const { sentence, severity, follows, purpose } = parseCheckHeader(file);
  const statement = parseSelect(file);
  const { readings, settings, errors } = readSelect(statement);
  if (errors.length) throw new UserErrors(errors);
  const output = outputColumns(statement.select, () => null);
  const hash = createHash("sha256").update(file.text).digest("hex").slice(0, 32);
  return { name, sentence, severity, purpose, statement, readings, follows, output, settings, hash };
}
