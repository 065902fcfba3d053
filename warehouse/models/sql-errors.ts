import pg from "pg";
import { CodedError, UserError, type Place } from "../../domain/errors.ts";
import { isAway } from "../away.ts";

/** Where a statement comes from: a file, and how many lines the runner wrote before the file's first. */
export interface Origin {
  file: string;
  /** The statement as sent, when the file's text is in it; a position in it becomes a line of the file. */
  sql?: string;
  linesBefore?: number;
  /** Where a wrong statement is mended, if that is no line of `file`. */
  place?: Place;
}

/** Meanings of the SQLSTATEs whose message would quote a value. */
const MEANINGS: Record<string, string> = {
  "21000": "a subquery that should give one row gave more",
  "22001": "a text is too long for its type",
  "22003": "a number is out of range for its type",
  "22007": "a text is no date or time",
  "22008": "a date or time is out of range",
  "22012": "a division by zero; use nullif(…, 0)",
  "22023": "an argument is out of range",
  "22030": "a JSON object has a key twice",
  "22P02": "a text is not of the type it is cast to",
  "23502": "a column that may not be null is null",
  "23503": "a row points at a row that is not there",
  "23505": "several rows have the same key",
  "23514": "a row breaks a constraint",
  "23P01": "two rows of the same key overlap in time",
  "2BP01": "something outside the models depends on it; drop that first",
  "2201E": "a logarithm of zero or less",
  "2201F": "a power that is not defined",
  "2201B": "a regular expression is not valid",
};

/**
 * An error of a model's or a check's statement, told without any value of a record: Postgres's own message is passed on
 * only for class 42 (names and types), and never kept as the cause.
 */
export function statementError(error: unknown, origin: Origin): unknown {
  if (!(error instanceof pg.DatabaseError) || !error.code) {
    return isAway(error)
      ? new CodedError("warehouse_unavailable", `${origin.file}: the connection to the warehouse was lost.`, {
          retryable: true,
        })
      : error;
  }
  const { code } = error;
  if (code.startsWith("42")) {
    const line = lineOf(error, origin);
    const hint = error.hint ? ` (${error.hint.replace(/\.$/, "")})` : "";
    return new UserError(
      `${error.message}${hint}.`,
      origin.place ?? { file: origin.file, ...(line !== null && { line }) },
    );
  }
  if (/^(08|40|53|55|57)/.test(code)) {
    return new CodedError(
      "warehouse_unavailable",
      `${origin.file}: the warehouse ended the statement (SQLSTATE ${code}).`,
      {
        retryable: true,
      },
    );
  }
  const where = [error.schema?.replace(/^build_/, ""), error.table, error.column].filter(Boolean).join(".");
  const meaning = MEANINGS[code] ?? "the statement failed";
  const isModel = /^2[123]/.test(code);
  return new CodedError(
    isModel ? "model_failed" : "warehouse_statement",
    `${origin.file}: ${meaning}${where ? `, in ${where}` : ""} (SQLSTATE ${code}).`,
    { retryable: false },
  );
}

function lineOf(error: pg.DatabaseError, { sql, linesBefore = 0 }: Origin): number | null {
  if (!error.position || sql === undefined) return null;
  const before = Array.from(sql)
    .slice(0, Number(error.position) - 1)
    .join("");
  const line = before.split("\n").length - linesBefore;
  return line > 0 ? line : null;
}
