import type pg from "pg";
import { normaliseIdentifier } from "../../privacy/normalise.ts";
import { open, seal } from "../../privacy/sealing.ts";
import type { Vault } from "../vault.ts";
import type { StreamPlan } from "./plan.ts";
import type { Prepared } from "./record.ts";

/** A value as its column would hold it, and what the source had sent. */
export interface Correction {
  right: string | null;
  wrong: string | null;
}

const PURPOSE = "corrections";

/** Seals a correction, bound to its place. */
export async function sealCorrection(
  pool: pg.Pool,
  vault: Vault,
  recordKey: string,
  field: string,
  correction: Correction,
): Promise<Buffer> {
  return seal(await vault.purposeKey(pool, PURPOSE), identity(recordKey, field), JSON.stringify(correction));
}

export async function openCorrection(
  pool: pg.Pool,
  vault: Vault,
  recordKey: string,
  field: string,
  sealed: Buffer,
): Promise<Correction> {
  const key = await vault.purposeKey(pool, PURPOSE);
  return JSON.parse(open(key, identity(recordKey, field), sealed).toString("utf8")) as Correction;
}

/** Tokens of what stands in a correction, where its field holds an identifier: by them it is found with the person. */
export function correctedTokens(vault: Vault, plan: StreamPlan, field: string, { right, wrong }: Correction): string[] {
  const index = plan.fieldIndex.get(field);
  const { personal, identifier } = (index === undefined ? undefined : plan.fields[index]?.schema) ?? {};
  if (!personal || !identifier) return [];
  return [right, wrong].flatMap((value) => {
    const canonical = value === null ? null : normaliseIdentifier(personal, value, plan.defaultCountry);
    return canonical === null ? [] : [vault.naming.token(identifier, canonical)];
  });
}

/**
 * Puts the corrected values into records that are about to land, in the caller's transaction. Where the source sends the
 * right value itself by now, the correction has done its work and is gone.
 * @returns the records to land; those that came stay as they are, since a page may have to be landed again
 */
export async function applyCorrections(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  plan: StreamPlan,
  current: readonly Prepared[],
): Promise<Prepared[]> {
  const records = [...current];
  if (current.length === 0) return records;
  // Mostly nobody has corrected anything of the stream, and then its keys need not be sent.
  const { rows: some } = await client.query(
    "select from privacy.corrections where source = $1 and stream = $2 limit 1",
    [plan.stream.source, plan.stream.name],
  );
  if (some.length === 0) return records;
  const places = new Map(current.map(({ recordKey }, place) => [recordKey, place]));
  const { rows } = await client.query<{ key: string; field: string; sealed: Buffer }>(
    `select record_key as key, field, sealed from privacy.corrections
     where source = $1 and stream = $2 and record_key = any($3::uuid[])`,
    [plan.stream.source, plan.stream.name, `{${[...places.keys()].join(",")}}`],
  );
  for (const { key, field, sealed } of rows) {
    const index = plan.fieldIndex.get(field);
    const place = places.get(key);
    const record = place === undefined ? undefined : records[place];
    if (index === undefined || place === undefined || !record) continue;
    const { right } = await openCorrection(pool, vault, key, field, sealed);
    if (record.values[index] === right) {
      await client.query("delete from privacy.corrections where record_key = $1 and field = $2", [key, field]);
    } else {
      const correction = { right, wrong: record.values[index] ?? null };
      await client.query(
        `update privacy.corrections set sealed = $3, value_identifiers = $4,
           subject_tokens = array(select unnest(subject_tokens) union select unnest($4::text[]))
         where record_key = $1 and field = $2`,
        [
          key,
          field,
          await sealCorrection(pool, vault, key, field, correction),
          correctedTokens(vault, plan, field, correction),
        ],
      );
      records[place] = { ...record, values: record.values.with(index, right) };
    }
  }
  return records;
}

function identity(recordKey: string, field: string): string {
  return `correction:${recordKey}:${field}`;
}
