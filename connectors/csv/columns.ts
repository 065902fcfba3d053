import type { ReadStream, SourceRecord } from "../connector.ts";
import { Rejected } from "../errors.ts";
import type { Sink } from "../files/parser.ts";

export interface Header {
  /** Whether the first row is one. */
  isPresent: boolean;
  /** Given names, which count more than those of the header. */
  columns: string[] | undefined;
}

/** Makes records of a file's rows: the first row, or the config, names the columns. */
export class Columns {
  readonly #header: Header;
  readonly #fileName: string;
  readonly #stream: ReadStream | null;
  readonly #sink: Sink;
  #names: string[] | null = null;

  /** @param stream whose fields the file must have; null where they are only being discovered */
  constructor(header: Header, fileName: string, stream: ReadStream | null, sink: Sink) {
    this.#header = header;
    this.#fileName = fileName;
    this.#stream = stream;
    this.#sink = sink;
  }

  /**
   * @param line that the row begins in
   * @param characters of the row
   * @param raw the row's text, asked for only where it has to be rejected
   */
  row(fields: string[], line: number, characters: number, raw: () => string): void {
    if (this.#names === null) {
      this.#names = this.#header.columns ?? columnNames(this.#header.isPresent ? fields : fields.map(() => ""));
      this.#checkFields(this.#names, line);
      if (this.#header.isPresent) return;
    }
    const names = this.#names;
    if (fields.length !== names.length) {
      this.#sink.reject("ragged_row", line, raw());
      return;
    }
    const record: SourceRecord = {};
    for (let index = 0; index < names.length; index += 1) {
      const name = names[index] as string;
      if (name === "__proto__") setProto(record, fields[index]);
      else record[name] = fields[index];
    }
    this.#sink.record(record, characters);
  }

  /** A column that is gone would put every record into quarantine, one by one. */
  #checkFields(names: string[], line: number): void {
    const { key, schema } = this.#stream ?? { key: null, schema: { required: [] } };
    const lacking = [...(key ?? []), ...(schema.required ?? [])].find((field) => !names.includes(field));
    if (lacking === undefined) return;
    const place = this.#header.columns
      ? `"columns" in the config of ${this.#fileName}`
      : `${this.#fileName} line ${line}`;
    const mend = this.#header.columns ? "name it there" : `correct "delimiter" or "header" in the config`;
    throw new Rejected(
      `${place}: there is no column "${lacking}", which the stream's key or schema requires; ${mend}, or run miette discover`,
    );
  }
}

/** Trimmed; `column_3` for one without a name, `a_2` for the second `a`. */
function columnNames(header: string[]): string[] {
  const given = header.map((name, index) => name.trim() || `column_${index + 1}`);
  const taken = new Set(given);
  const seen = new Set<string>();
  return given.map((name) => {
    let unique = name;
    for (let number = 2; seen.has(unique) || (unique !== name && taken.has(unique)); number += 1)
      unique = `${name}_${number}`;
    seen.add(unique);
    return unique;
  });
}

/** As a field of its own; assigning it would set the prototype. */
function setProto(record: SourceRecord, value: unknown): void {
  Object.defineProperty(record, "__proto__", { value, enumerable: true, configurable: true, writable: true });
}
