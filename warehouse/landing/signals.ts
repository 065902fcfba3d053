import type pg from "pg";
import { ALL_PURPOSES, OPT_OUT_JURISDICTIONS, type Choice } from "../../domain/consent.ts";
import { JURISDICTIONS } from "../../domain/clocks.ts";
import type { Signal, Stream } from "../../domain/streams.ts";
import type { FieldPlan } from "./plan.ts";
import { versionNumber } from "./record.ts";

/** A signal of a stream's schema, by the columns of its raw table. */
export interface SignalPlan {
  choice: Choice;
  purposes: string[];
  /** Texts that mean it; of a consent, any other is a no. */
  given: ReadonlySet<string>;
  /** Who heard it, for the ledger. */
  source: string;
  column: number;
  occurredAt: number | null;
  jurisdiction: number | null;
  noticeVersion: number | null;
  expiresAt: number | null;
}

/** What the Global Privacy Control asks for: no sale and no sharing (11 CCR § 7025(c)(1)). */
const GPC_PURPOSES = ["sale", "sharing"];
const LAWS = new Set([...JURISDICTIONS, ...OPT_OUT_JURISDICTIONS]);
/** As long as the ledger's column. */
const NOTICE_LENGTH = 200;

/** The signals that a stream's schema declares; the columns of `fields` are known by now. */
export function planSignals({ source, schema }: Stream, fields: FieldPlan[]): SignalPlan[] {
  const columnOf = (name: string | undefined): number | null =>
    fields.find((field) => field.name === name)?.column ?? null;
  return (schema.signals ?? []).map((signal: Signal) => {
    const column = columnOf(signal.field);
    if (column === null) throw new Error(`${signal.field} of ${source} has no column`);
    const isFlag = fields.some(({ name, type }) => name === signal.field && type.sql === "boolean");
    const isGpc = signal.choice === "gpc";
    return {
      choice: signal.choice === "gpc" ? "opt_out" : signal.choice,
      purposes: isGpc ? GPC_PURPOSES : [signal.purpose ?? ALL_PURPOSES],
      // The header's one value is 1; a script hears true (w3.org/TR/gpc).
      given: new Set(isFlag ? ["true"] : isGpc ? ["1"] : signal.given),
      source: isGpc ? `gpc:${source}` : source,
      column,
      occurredAt: columnOf(signal.occurred_at),
      jurisdiction: columnOf(signal.jurisdiction),
      noticeVersion: columnOf(signal.notice_version),
      expiresAt: columnOf(signal.expires_at),
    };
  });
}

/** What one row says, by columns of the ledger. */
interface Word {
  choice: Choice;
  purpose: string;
  is_given: boolean;
  source: string;
  /** null: now. */
  occurred_at: string | null;
  jurisdiction: string | null;
  notice_version: string | null;
  expires_at: string | null;
  tokens: string[];
}

/** What was said by an identifier: from when on, in microseconds since 1970, and what. */
interface Said {
  at: number;
  text: string;
}

/**
 * Writes what rows say of consent into the ledger, in the transaction in which they land: a word that the identifiers'
 * latest one before it already says is left out, so that a million visits with the same header are one event. A row
 * without a signal lifts nothing.
 * @param rows columns as they land: tokens instead of identifiers
 * @returns how many events were added
 */
export async function recordSignals(
  client: pg.ClientBase,
  signals: readonly SignalPlan[],
  fields: readonly FieldPlan[],
  rows: readonly { columns: (string | null)[] }[],
): Promise<number> {
  if (signals.length === 0) return 0;
  const words = wordsOf(signals, fields, rows);
  if (words.length === 0) return 0;
  const news = withoutRepetitions(words, await readSaid(client, words));
  if (news.length === 0) return 0;
  await client.query(
    `with said as materialized (
       select nextval(pg_get_serial_sequence('privacy.consent_events', 'event_id')) as event_id, word.*
       from jsonb_to_recordset($1) as word (choice text, purpose text, is_given boolean, source text, occurred_at timestamptz,
         jurisdiction text, notice_version text, expires_at timestamptz, tokens text[])
     ),
     added as (
       insert into privacy.consent_events
         (event_id, occurred_at, choice, is_given, purpose, source, notice_version, jurisdiction, expires_at)
       overriding system value
       select event_id, coalesce(occurred_at, now()), choice, is_given, purpose, source, notice_version, jurisdiction, expires_at
       from said
     )
     insert into privacy.consent_identifiers (token, event_id) select token, event_id from said, unnest(tokens) as token`,
    [JSON.stringify(news)],
  );
  return news.length;
}

function wordsOf(
  signals: readonly SignalPlan[],
  fields: readonly FieldPlan[],
  rows: readonly { columns: (string | null)[] }[],
): Word[] {
  const identifiers = fields.flatMap(({ schema, column }) => (schema.identifier && column !== null ? [column] : []));
  return rows.flatMap(({ columns }) => {
    const tokens = [...new Set(identifiers.flatMap((index) => columns[index] ?? []))];
    return tokens.length === 0 ? [] : signals.flatMap((signal) => readSignal(signal, columns, tokens));
  });
}

function readSignal(signal: SignalPlan, columns: (string | null)[], tokens: string[]): Word[] {
  const text = columns[signal.column]?.trim() ?? "";
  const isGiven = signal.given.has(text);
  // What is not said, and a refusal that is not, says nothing; what takes a refusal back is a request of the person's.
  if (text === "" || (signal.choice !== "consent" && !isGiven)) return [];
  const at = (index: number | null): string | null => (index === null ? null : (columns[index] ?? null));
  const law = at(signal.jurisdiction)?.trim().toUpperCase() ?? "";
  const occurredAt = at(signal.occurredAt);
  // Nobody knows when it was said, and so what it comes after.
  if (signal.choice === "consent" && occurredAt === null) return [];
  return signal.purposes.map((purpose) => ({
    choice: signal.choice,
    purpose,
    is_given: isGiven,
    source: signal.source,
    occurred_at: occurredAt,
    jurisdiction: LAWS.has(law) ? law : null,
    notice_version: at(signal.noticeVersion)?.slice(0, NOTICE_LENGTH) ?? null,
    expires_at: at(signal.expiresAt),
    tokens,
  }));
}

/**
 * What the ledger has of these identifiers and choices, by both, in its order. Refusals that were taken back count as said:
 * a browser that goes on sending its header does not undo what its user has allowed since (11 CCR § 7025(c)(3)).
 */
async function readSaid(client: pg.ClientBase, words: Word[]): Promise<Map<string, Said[]>> {
  const { rows } = await client.query<Omit<Word, "tokens" | "source"> & { token: string; at: string }>(
    `select who.token, e.choice, e.purpose, e.is_given, e.jurisdiction, e.notice_version, e.expires_at,
       floor(extract(epoch from least(e.occurred_at, e.recorded_at)) * 1000000) as at
     from privacy.consent_identifiers as who join privacy.consent_events as e on e.event_id = who.event_id
     where who.token = any($1::text[]) and e.choice = any($2::text[]) and (e.choice = 'consent' or e.is_given)
     order by least(e.occurred_at, e.recorded_at), e.event_id`,
    [[...new Set(words.flatMap(({ tokens }) => tokens))], [...new Set(words.map(({ choice }) => choice))]],
  );
  const said = new Map<string, Said[]>();
  for (const { token, at, ...word } of rows) {
    const key = keyOf(token, word);
    const list = said.get(key) ?? [];
    said.set(key, list);
    list.push({ at: Number(at), text: textOf(word) });
  }
  return said;
}

/** The words of which one identifier at least has not said the same before, in the order in which they were said. */
function withoutRepetitions(words: Word[], said: Map<string, Said[]>): Word[] {
  // It counts at the latest from when it is written down.
  const now = Date.now() * 1000;
  const moments = new Map(words.map((word) => [word, Math.min(Number(versionNumber(word.occurred_at) ?? now), now)]));
  const at = (word: Word): number => moments.get(word) as number;
  return words
    .toSorted((a, b) => at(a) - at(b))
    .filter((word) => {
      const text = textOf(word);
      const lists = word.tokens.map((token) => {
        const key = keyOf(token, word);
        const list = said.get(key) ?? [];
        said.set(key, list);
        return { list, before: list.findLastIndex((each) => each.at <= at(word)) };
      });
      if (lists.every(({ list, before }) => list[before]?.text === text)) return false;
      for (const { list, before } of lists) list.splice(before + 1, 0, { at: at(word), text });
      return true;
    });
}

function keyOf(token: string, { choice, purpose }: Pick<Word, "choice" | "purpose">): string {
  return [choice, purpose, token].join("\0");
}

function textOf(word: Pick<Word, "is_given" | "jurisdiction" | "notice_version" | "expires_at">): string {
  const { is_given: isGiven, jurisdiction, notice_version: notice, expires_at: end } = word;
  return JSON.stringify([isGiven, jurisdiction, notice, versionNumber(end)]);
}
