import type pg from "pg";
import type { StreamPlan } from "./plan.ts";
import type { Prepared } from "./record.ts";
import type { Tokeniser } from "./seal.ts";

/**
 * What becomes of a record on which an erased person stands: drop: it is the person's own; strip: the business keeps the
 * fact, without the person. Any other record loses the erased identifiers alone.
 */
export type Verdict = "drop" | "strip";

/**
 * Judges a page's records by the suppressions. A record that carries an erased identifier is the erased person's, unless
 * a living person who stood beside it before is on it too. A fact that was stripped once stays so.
 * @param isKept whether the stream's records are facts that the business keeps
 */
export async function judge(
  client: pg.ClientBase,
  plan: StreamPlan,
  tokeniser: Tokeniser,
  records: readonly Prepared[],
  isKept: boolean,
): Promise<Map<Prepared, Verdict>> {
  const verdicts = new Map<Prepared, Verdict>();
  const own = isKept ? "strip" : "drop";
  const hits: { record: Prepared; others: string[] }[] = [];
  const named = new Set<Prepared>();
  for (const record of records) {
    const { isErased, others } = tokeniser.identify(record);
    if (isErased) hits.push({ record, others });
    if (others.length > 0) named.add(record);
  }
  if (hits.length > 0) {
    const { rows } = await client.query<{ token: string }>(
      "select token from privacy.bystanders where token = any($1)",
      [[...new Set(hits.flatMap(({ others }) => others))]],
    );
    const living = new Set(rows.map(({ token }) => token));
    for (const { record, others } of hits) if (!others.some((token) => living.has(token))) verdicts.set(record, own);
  }
  const parents = new Map(records.map((record) => [record, tokeniser.parents(record)]));
  const keys = new Set(records.flatMap((record) => [record.recordKey, ...(parents.get(record) ?? [])]));
  if (keys.size === 0 || (!isKept && plan.references.length === 0)) return verdicts;
  const { rows } = await client.query<{ record_key: string }>(
    "select record_key from privacy.stripped_records where record_key = any($1::uuid[])",
    [`{${[...keys].join(",")}}`],
  );
  if (rows.length === 0) return verdicts;
  const stripped = new Set(rows.map(({ record_key }) => record_key));
  for (const record of records) {
    const isOfStripped = (parents.get(record) ?? []).some((key) => stripped.has(key));
    // Somebody else's review of an erased person's order is theirs.
    if (stripped.has(record.recordKey) || (isOfStripped && (isKept || !named.has(record)))) verdicts.set(record, own);
  }
  return verdicts;
}
