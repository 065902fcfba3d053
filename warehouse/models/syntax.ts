import { loadModule, parseSync, type SelectStmt } from "libpg-query";
import { UserError, type Place } from "../../domain/errors.ts";

/** A file of the SQL tree, as far as the model graph needs it. */
export interface ModelFile {
  /** Path below `sql/`, with `/`: `models/mart/fct_orders.sql`. It names the relation. */
  path: string;
  /** The path as an error shows it. */
  displayFile: string;
  text: string;
  /** Where errors point at, for a select that stands within another file; without it, at the file and line. */
  place?: Place;
}

/** One parsed `select`, with what is needed to rewrite it and to point into its file. */
export interface Statement {
  file: ModelFile;
  select: SelectStmt;
  /** The file's UTF-8 bytes up to the end of the statement: the parser's locations are byte offsets into them. */
  bytes: Buffer;
}

/** Loads the parser; the functions of this module work once it has resolved. */
export const loadParser = loadModule;

/** The file's one statement. Throws a UserError where it is no single select. */
export function parseSelect(file: ModelFile): Statement {
  if (file.text.includes("\0")) throw new UserError("holds a NUL character; remove it.", placeIn(file));
  const parsed = parse(file);
  const bytes = Buffer.from(file.text, "utf8");
  const [first, second] = parsed;
  if (!first?.stmt) throw new UserError("holds no statement; write one select.", placeIn(file));
  if (second) {
    const line = lineAt(bytes, second.stmt_location ?? 0);
    throw new UserError("holds more than one statement; write one select.", placeIn(file, line));
  }
  const kind = Object.keys(first.stmt)[0] ?? "";
  const { SelectStmt: select } = first.stmt as { SelectStmt?: SelectStmt };
  const start = first.stmt_location ?? 0;
  if (!select) {
    const line = lineAt(bytes, firstToken(bytes, start));
    const rule = file.path.startsWith("models/") ? "a model is one select" : "write one select";
    throw new UserError(`${rule}, not ${kind.replace(/Stmt$/, "").toLowerCase()}.`, placeIn(file, line));
  }
  const end = first.stmt_len ? start + first.stmt_len : bytes.length;
  return { file, select, bytes: bytes.subarray(0, end) };
}

/** The place of a byte offset, for an error. */
export function placeAt(statement: Statement, location: number | undefined): Place {
  return placeIn(statement.file, lineAt(statement.bytes, location ?? 0));
}

/** The place of a line, for an error. */
export function placeIn(file: ModelFile, line?: number): Place {
  return file.place ?? { file: file.displayFile, ...(line !== undefined && { line }) };
}

/** 1-based line of a byte offset. */
export function lineAt(bytes: Buffer, offset: number): number {
  let line = 1;
  for (let i = bytes.indexOf(10); i !== -1 && i < offset; i = bytes.indexOf(10, i + 1)) line++;
  return line;
}

function parse(file: ModelFile) {
  try {
    return parseSync(file.text).stmts ?? [];
  } catch (error) {
    const { sqlDetails } = error as { sqlDetails?: { message: string; cursorPosition: number } };
    if (!sqlDetails) {
      if (error instanceof Error && /cannot be empty/.test(error.message)) return [];
      throw error;
    }
    // The cursor counts characters, unlike the locations in the tree.
    const before = Array.from(file.text).slice(0, Math.max(0, sqlDetails.cursorPosition)).join("");
    throw new UserError(`${sqlDetails.message}.`, placeIn(file, before.split("\n").length));
  }
}

/** Where the statement's first token is: the parser lets a statement begin at the comment before it. */
function firstToken(bytes: Buffer, start: number): number {
  const before = /^(\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*/.exec(bytes.toString("latin1", start));
  return start + (before?.[0].length ?? 0);
}
