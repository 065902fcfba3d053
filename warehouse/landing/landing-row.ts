import type { StreamPlan } from "./plan.ts";
import type { Prepared } from "./record.ts";
import type { Tokenised } from "./seal.ts";

/** A record as it waits to be copied in: little but a text, since a page of these is alive at a time. */
export interface LandingRow {
  prepared: Prepared;
  /** COPY's text of the plan's columns, each with the tab after it. */
  text: string;
  /** The plan's columns, where the stream has signals that are read of them. */
  said: (string | null)[] | null;
  ownerToken: string | null;
  secret: string | null;
}

/** Columns that landing adds to the plan's. */
export const ADDED = ["record_key", "version", "content_hash", "sealed", "owner_token", "reload"];

export function landingRow(
  { columns: plan, signals }: StreamPlan,
  { prepared, columns, ownerToken, secret }: Tokenised,
): LandingRow {
  const texts = columns.map((value, index) => (value === null ? "\\N" : copyValue(plan[index]?.type, value)));
  texts.push("");
  return { prepared, text: texts.join("\t"), said: signals.length > 0 ? columns : null, ownerToken, secret };
}

/** The columns that landing adds, in the order of `ADDED`. */
export function addedText({ prepared, ownerToken }: LandingRow, sealed: Buffer | null, reload: number): string {
  const { recordKey, version, contentHash } = prepared;
  const bytes = sealed === null ? "\\N" : `\\\\x${sealed.toString("hex")}`;
  return `${recordKey}\t${version ?? "\\N"}\t${contentHash}\t${bytes}\t${ownerToken === null ? "\\N" : escape(ownerToken)}\t${reload}`;
}

/** Only texts and JSON may hold what has to be escaped; every other type's text has been read and written anew. */
function copyValue(type: string | undefined, value: string): string {
  return type === "text" || type === "jsonb" ? escape(value) : value;
}

const ESCAPED = /[\\\n\r\t]/;
const EVERY_ESCAPED = /[\\\n\r\t]/g;
const ESCAPES: Record<string, string> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escape(value: string): string {
  return ESCAPED.test(value) ? value.replace(EVERY_ESCAPED, (character) => ESCAPES[character] as string) : value;
}
