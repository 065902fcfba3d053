import { UserError } from "../../domain/errors.ts";
import type { ModelFile } from "./syntax.ts";
import type { Follow, RelationSpec } from "./relation.ts";

/** What the header comment of a model says; the relation's name comes from its path. */
export interface ModelHeader extends Omit<RelationSpec, "name" | "materialize"> {
  materialize: RelationSpec["materialize"] | null;
  contract: string | null;
  /** What it may read columns of special categories for; null: it may not. */
  purpose: string | null;
  /** The line of each declared word, and of `column x`, for errors found later. */
  lines: Map<string, number>;
}

export type Severity = "error" | "warn";

interface CheckHeader {
  sentence: string;
  severity: Severity;
  follows: Follow[];
  purpose: string | null;
}

export interface SegmentHeader {
  description: string;
  /** The purpose that its customers must have consented to before anybody else learns of them. */
  consent: string | null;
  /** What it may read columns of special categories for. */
  purpose: string | null;
  /** Inputs of whose changes only the customers that they touch have to be looked at again. */
  follows: Follow[];
}

interface Declaration {
  word: string;
  value: string;
  line: number;
}

const MODEL_WORDS = ["materialize", "key", "contract", "follows", "foreign key", "not null", "purpose", "column"];
const CHECK_WORDS = ["severity", "follows", "purpose"];
const SEGMENT_WORDS = ["consent", "follows", "purpose"];
const OPENS_A_MODEL = 'what a row is ("-- One row per order.")';
const OPENS_A_SEGMENT = 'what the segment is for ("-- Customers who …")';
const REPEATABLE = new Set(["follows", "foreign key", "not null"]);
/** `word:` or `column name:` at one space from the dashes; a line further in continues the one above. */
const DECLARATION = /^(column\s+(?:"[^"]+"|[^\s:]+)|[a-z]+(?: [a-z]+){0,2})\s*:(?:\s+|$)(.*)$/;

/** Reads the header of a model. Throws a UserError with the line where it is not in the grammar of `docs/models.md`. */
export function parseModelHeader(file: ModelFile): ModelHeader {
  const { sentence, declarations } = readHeader(file, MODEL_WORDS, OPENS_A_MODEL);
  const header: ModelHeader = {
    grain: sentence,
    materialize: null,
    contract: null,
    purpose: null,
    key: [],
    follows: [],
    notNull: [],
    foreignKeys: [],
    columns: Object.create(null) as Record<string, string>,
    lines: new Map(declarations.map(({ word, line }) => [word, line])),
  };
  for (const { word, value, line } of declarations) {
    const fail = (mend: string) => new UserError(mend, { file: file.displayFile, line });
    const names = (text: string) => parseNames(text, fail);
    if (word === "materialize") {
      if (value !== "view" && value !== "table" && value !== "incremental") {
        throw fail(`materialize is view, table or incremental, not "${value}".`);
      }
      header.materialize = value;
    } else if (word === "key") header.key = names(value);
    else if (word === "contract") [header.contract = null] = names(value);
    else if (word === "purpose") header.purpose = parsePurpose(word, value, fail);
    else if (word === "not null") header.notNull.push(...names(value));
    else if (word === "follows") header.follows.push(...parseFollows(value, fail));
    else if (word === "foreign key") {
      for (const part of splitList(value)) {
        const match = /^(.+?)\s*->\s*([a-z_0-9]+\.[a-z_0-9]+)$/.exec(part);
        if (!match) throw fail(`a foreign key is written "customer_id -> core.people", not "${part}".`);
        header.foreignKeys.push({ columns: names(match[1]!), references: match[2]! });
      }
    } else {
      const [column] = names(word.slice("column".length));
      header.columns[column!] = value;
    }
  }
  return header;
}

/** Reads the header of a check: the sentence that its rows break, `severity` (error where none is given) and what it follows. */
export function parseCheckHeader(file: ModelFile): CheckHeader {
  const { sentence, declarations } = readHeader(file, CHECK_WORDS, OPENS_A_MODEL);
  const header: CheckHeader = { sentence, severity: "error", follows: [], purpose: null };
  for (const { word, value, line } of declarations) {
    const fail = (mend: string) => new UserError(mend, { file: file.displayFile, line });
    if (word === "follows") header.follows.push(...parseFollows(value, fail));
    else if (word === "purpose") header.purpose = parsePurpose(word, value, fail);
    else if (value === "error" || value === "warn") header.severity = value;
    else throw fail(`severity is error or warn, not "${value}".`);
  }
  return header;
}

/** Reads the header of a segment: what it is for, the purpose that its customers must have consented to, and what it follows. */
export function parseSegmentHeader(file: ModelFile): SegmentHeader {
  const { sentence, declarations } = readHeader(file, SEGMENT_WORDS, OPENS_A_SEGMENT);
  const header: SegmentHeader = { description: sentence, consent: null, purpose: null, follows: [] };
  for (const { word, value, line } of declarations) {
    const fail = (mend: string) => new UserError(mend, { file: file.displayFile, line });
    if (word === "follows") {
      const follows = parseFollows(value, fail);
      const other = follows.find(({ columns }) => columns.join() !== "customer_id");
      if (other) throw fail(`a segment follows ${other.relation} by customer_id, the one column that it returns.`);
      header.follows.push(...follows);
    } else header[word as "consent" | "purpose"] = parsePurpose(word, value, fail);
  }
  return header;
}

function parsePurpose(word: string, value: string, fail: (mend: string) => UserError): string {
  if (/^[a-z][a-z0-9_]*$/.test(value)) return value;
  throw fail(`${word} names one purpose, as in "-- ${word}: marketing", not "${value}".`);
}

function readHeader(
  file: ModelFile,
  words: string[],
  opening: string,
): { sentence: string; declarations: Declaration[] } {
  const declarations: Declaration[] = [];
  const sentence: string[] = [];
  for (const [index, text] of file.text.split(/\r?\n/).entries()) {
    const line = index + 1;
    if (!text.trim() && !sentence.length) continue;
    const comment = /^--(\s*)(.*?)\s*$/.exec(text);
    if (!comment) break;
    const [, indent, content] = comment as unknown as [string, string, string];
    const declared = indent.length <= 1 ? DECLARATION.exec(content) : null;
    const fail = (mend: string) => new UserError(mend, { file: file.displayFile, line });
    if (!declared) {
      const last = declarations.at(-1);
      if (last && content && indent.length <= 1 && !last.word.startsWith("column")) {
        throw fail(
          `"${content}" follows "${last.word}:"; indent it if it belongs to it, else leave a blank line before it.`,
        );
      }
      if (last) last.value = `${last.value} ${content}`.trim();
      else if (content) sentence.push(content);
      continue;
    }
    const word = declared[1]!.replace(/\s+/g, " ");
    if (!sentence.length) throw fail(`the first line says ${opening}; "${word}:" follows it.`);
    if (!words.includes(word.split(" ")[0] === "column" ? "column" : word)) {
      throw fail(`"${word}:" is not a word of this header (${words.join(", ")}); indent the line if it is prose.`);
    }
    if (!REPEATABLE.has(word) && declarations.some((other) => other.word === word)) {
      throw fail(`"${word}:" is said twice; keep one.`);
    }
    declarations.push({ word, value: declared[2]!, line });
  }
  if (!sentence.length) {
    throw new UserError(`opens with a comment that says ${opening}.`, {
      file: file.displayFile,
      line: 1,
    });
  }
  return { sentence: sentence.join(" "), declarations };
}

function splitList(value: string): string[] {
  return value
    .split(";")
    .map((part) => part.trim())
    .filter(Boolean);
}

/** `core.orders by order_id`, with `from record_key` where the input's column has another name. */
function parseFollows(value: string, fail: (mend: string) => UserError): Follow[] {
  return splitList(value).map((part) => {
    const match = /^([a-z_0-9]+\.[a-z_0-9]+) by (.+?)(?: from (.+))?$/.exec(part);
    if (!match) throw fail(`follows is written "core.orders by order_id from record_key", not "${part}".`);
    const columns = parseNames(match[2]!, fail);
    const from = match[3] ? parseNames(match[3], fail) : null;
    if (from && from.length !== columns.length) {
      throw fail(`follows ${match[1]} by ${columns.length} columns from ${from.length}; name as many of each.`);
    }
    return { relation: match[1]!, columns, from };
  });
}

/** Column names, separated by commas; quoted where they are no plain identifiers. */
function parseNames(text: string, fail: (mend: string) => UserError): string[] {
  const names = text.split(",").map((part) => {
    const match = /^\s*(?:"([^"]+)"|([a-z_][a-z0-9_]*))\s*$/.exec(part);
    if (!match) throw fail(`"${part.trim()}" is no column name; write lower-case names with commas between.`);
    return match[1] ?? match[2]!;
  });
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw fail(`"${twice}" stands twice in the list; keep one.`);
  return names;
}
