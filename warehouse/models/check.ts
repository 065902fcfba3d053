import { UserError, UserErrors } from "../../domain/errors.ts";
import { parseCheckHeader, type Severity } from "./header.ts";
import { readSelect, type Reading } from "./select.ts";
import { parseSelect, type ModelFile, type Statement } from "./syntax.ts";

/** A sentence about the mart and the select that returns the rows which break it. */
export interface Check {
  name: string;
  sentence: string;
  severity: Severity;
  statement: Statement;
  readings: Reading[];
}

/** Reads `checks/<name>.sql`. Throws UserErrors with file and line. */
export function loadCheck(file: ModelFile): Check {
  const name = /^checks\/([a-z][a-z0-9_]*)\.sql$/.exec(file.path)?.[1];
  if (!name)
    throw new UserError("a check is a file checks/<name>.sql, named in snake_case.", { file: file.displayFile });
  const { sentence, severity } = parseCheckHeader(file);
  const statement = parseSelect(file);
  const { readings, errors } = readSelect(statement);
  if (errors.length) throw new UserErrors(errors);
  return { name, sentence, severity, statement, readings };
}
