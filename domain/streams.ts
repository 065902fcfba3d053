/** The words of a stream: its schema, mode and the names it has in the warehouse. Pure; safe in workflows. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The kinds of personal data that a schema's `personal:` may name. */
export const PERSONAL_KINDS = [
  "email",
  "phone",
  "name",
  "address",
  "postal_code",
  "ip",
  "device_id",
  "account_id",
  "birth_date",
  "free_text",
  "government_id",
  "payment",
  "custom",
] as const;
export type PersonalKind = (typeof PERSONAL_KINDS)[number];

/** Special categories of personal data (GDPR 9), and criminal records (GDPR 10): what a schema's `sensitive:` may name. */
export const SENSITIVE_CATEGORIES = [
  "ethnicity",
  "politics",
  "religion",
  "trade_union",
  "genetics",
  "biometrics",
  "health",
  "sexuality",
  "criminal_record",
] as const;
export type SensitiveCategory = (typeof SENSITIVE_CATEGORIES)[number];

export type JsonType = "string" | "integer" | "number" | "boolean" | "object" | "array" | "null";

/** One field of a stream: JSON Schema with the words `personal`, `identifier`, `keep`, `sensitive` and `decimal`. */
export interface FieldSchema {
  type: JsonType | JsonType[];
  format?: string;
  description?: string;
  /** [precision, scale] of a `number`, kept without loss as numeric(p,s). */
  decimal?: [number, number];
  personal?: PersonalKind;
  /** The identifier kind (`email`, `customer_id`, …) that a value of this field names a person by. */
  identifier?: string;
  /** What is read from it needs a declared purpose, whether it is open or sealed. */
  sensitive?: SensitiveCategory;
  /** Non-personal remains that stay readable: `domain`, `country`, `year`, … */
  keep?: string[];
  [keyword: string]: unknown;
}

export interface Reference {
  /** The field or fields that hold the parent's key, in the order of the parent's key. */
  field: string | string[];
  stream: string;
}

/** A field of a match key: in its normal form, or as it sounds, or its part before the `@`; of that its first letters alone. */
export type MatchPart = string | { field: string; as?: "phonetic" | "local_part"; first?: number };

/** The fields that one place of a match key is made of. */
export function fieldsOfMatchPart(part: MatchPart | MatchPart[]): string[] {
  return [part].flat().map((one) => (typeof one === "string" ? one : one.field));
}

/** What a field says about the use of its person's data. Everything but `purpose` and `given` names a field. */
export interface Signal {
  field: string;
  /** `gpc`: the Global Privacy Control, by which somebody opts out of sale and sharing. */
  choice: "gpc" | "consent" | "objection" | "opt_out" | "limit";
  /** Absent: all. */
  purpose?: string;
  /** Values that say it; of a consent every other value but none is a no. Absent: true. */
  given?: string[];
  occurred_at?: string;
  jurisdiction?: string;
  notice_version?: string;
  expires_at?: string;
}

export interface StreamSchema {
  type: "object";
  required?: string[];
  properties: Record<string, FieldSchema>;
  /** Parts by kind; those of a list within are taken in any order. */
  match_keys?: Record<string, (MatchPart | MatchPart[])[]>;
  references?: Reference[];
  signals?: Signal[];
  [keyword: string]: unknown;
}

export const STREAM_MODES = ["append", "upsert", "snapshot"] as const;
export type StreamMode = (typeof STREAM_MODES)[number];

/** A stream as the project declares it. */
export interface Stream {
  source: string;
  name: string;
  mode: StreamMode;
  /** Fields of the record's key; null for a keyless stream (record plus occurrence within its file). */
  key: string[] | null;
  /** Field by which the source is read incrementally. */
  cursor: string | null;
  /** Field that orders the versions of one record: an integer, number, date or date-time. */
  version: string | null;
  /** Field that `--from` and `--to` cut by. */
  window: string | null;
  schema: StreamSchema;
  /** The schema's path, for errors. */
  schemaFile: string;
  /** Share of rejected records, after the first 1,000, above which a sync stops. */
  rejectLimit: number;
  /** The connector's config for this stream: the source's, overlaid by the stream's own. */
  config: Json;
}

/** `raw.<source>__<stream>`: the raw table of a stream, and the stem of its staging model's name. */
export function rawTableName(source: string, stream: string): string {
  return `${source}__${stream}`;
}

/** Whether a field is open and holds a day or a time. */
export function isMoment({ schema }: Pick<Stream, "schema">, name: string): boolean {
  const field = Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined;
  return field !== undefined && !field.personal && (field.format === "date" || field.format === "date-time");
}
