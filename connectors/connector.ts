import type { Json, StreamSchema } from "../domain/streams.ts";

/** A record as the source has it: field name to value. Text sources give strings. */
export type SourceRecord = Record<string, unknown>;

/** A record that the connector itself could not read; landing puts it into quarantine. */
export interface Reject {
  stream: string;
  /** A stable code: `ragged_row`, `invalid_json`, `field_too_long`, … */
  reason: string;
  /** Where: a JSON pointer, or a line (`line 12`). Never the value. */
  pointer: string;
  /** What was received, as far as it could be read; it is sealed before it is stored. */
  raw: string;
}

/**
 * A page: records of one or more streams, and the cursor from which reading goes on after it.
 * Landing commits rows and cursor in one transaction, so a page is the unit of resumption.
 */
export interface Page {
  records: Record<string, SourceRecord[]>;
  rejects?: Reject[];
  /**
   * Any JSON; belongs to the stream or to the source as `cursorScope` says. Must change when something was read; within a
   * keyless part it may stand still.
   */
  cursor: Json;
  /** A slice of a page: the page goes on with the next one, and the cursor of the last counts. */
  goesOn?: true;
  /**
   * The file (or another part with an identity of its own) that the records come from. A keyless record is named
   * by its content and its occurrence number within this part, so a keyless part is always read from its start.
   */
  part?: string;
}

/** What a connector has to know of a stream to read it. */
export interface ReadStream {
  name: string;
  /** null: keyless. A keyless stream's cursor names only whole parts. */
  key: string[] | null;
  /** Field by which to read incrementally; null reads everything. */
  cursor: string | null;
  schema: StreamSchema;
}

export interface SourceOptions {
  signal: AbortSignal;
  /** Absolute path of the project's folder: paths in a config are relative to it, and so are the names of parts. */
  directory: string;
}

export interface ReadOptions extends SourceOptions {
  /** Only records whose `field` lies in [from, to), both ISO 8601. A source that cannot cut gives all; landing cuts again. */
  window?: { field: string; from?: string; to?: string };
  /** Records per page; a page may hold fewer, and ends early at about 8 MB of text. */
  pageSize: number;
  /**
   * Records per slice. A connector that parses gives a page in slices, so that what is made of one is nobody's by the next;
   * any other may give it whole.
   */
  sliceSize?: number;
}

export interface ShareOptions extends SourceOptions {
  most: number;
  /** Bytes below which a share is not worth a reader of its own. */
  leastBytes: number;
}

export interface DiscoveredStream {
  name: string;
  key: string[] | null;
  cursor: string | null;
  /** A field's `why` says what its personal label is proposed for. */
  schema: StreamSchema;
  /** What the stream's own `config` has to hold beside the source's, if anything: the table that it is named after. */
  config?: Json;
}

/**
 * A source connector. Knows its files or service; knows neither Temporal nor the warehouse.
 * `config` has been validated against `spec` before any call.
 */
export interface Source<Config> {
  /** JSON Schema of `config`, with a description for every key. */
  spec: object;
  /**
   * `text`: values arrive as strings and are parsed by the stream's schema ("12" is an integer);
   * values that already have a JSON type are taken as they are. `json`: a value must have the type its schema says.
   */
  values: "text" | "json";
  /** Whether a cursor belongs to one stream, or to the source (then all its streams are read together). */
  cursorScope: "stream" | "source";
  discover(config: Config, options: SourceOptions): Promise<DiscoveredStream[]>;
  /**
   * Reads from `cursor` (null: from the start) to the end of what is there now. With `cursorScope: "stream"` exactly one
   * stream is given. Every page's cursor resumes right after that page. Throws the classes of connectors/errors.ts.
   */
  read(config: Config, streams: ReadStream[], cursor: Json | null, options: ReadOptions): AsyncIterable<Page>;
  /** Whether reading is work for the processor more than waiting: long reads then get a thread of their own. */
  isParsing?: boolean;
  /** Whether `read` cuts by `options.window` at the source, so that a long window may be read as several at once. */
  cutsWindows?: boolean;
  /** What lies beyond a cursor, in shares that may be read at the same time, each resumable by itself. */
  shares?: {
    /** The cursors to read each share from; fewer than two where one reader will do. */
    split(config: Config, stream: ReadStream, cursor: Json | null, options: ShareOptions): Promise<Json[]>;
    /** The cursor that stands for all that had been read at `cursor` and at those of the shares. */
    join(cursor: Json | null, shares: Json[]): Json;
  };
}
