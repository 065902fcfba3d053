import type pg from "pg";
import { CodedError } from "../../domain/errors.ts";
import type { RequestReport } from "../../domain/requests.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import { lockEpoch, readEpoch } from "../epoch.ts";
import { readRawTables } from "../erasure/raw-tables.ts";
import { resolveScope } from "../erasure/scope.ts";
import { findRows, holdErased } from "../erasure/sweep-raw.ts";
import { correctedTokens, openCorrection, sealCorrection } from "../landing/corrections.ts";
import type { StreamPlan } from "../landing/plan.ts";
import { replaceValues } from "../landing/replace-values.ts";
import { readSuppressions } from "../landing/suppressions.ts";
import { issueReceiptOnce } from "../receipts.ts";
import type { Vault } from "../vault.ts";
import { refuseRequest } from "./refuse.ts";
import { readRightValue } from "./right-value.ts";
import { forgetSubject, moveRequest, openIdentifiers, openSealed, readRequest, type RequestSecret } from "./store.ts";
import type { Sought } from "./subject.ts";

/** What of one stream is to be corrected: by field, the text as it was given; null: there is no value. */
export interface StreamCorrection {
  plan: StreamPlan;
  values: ReadonlyMap<string, string | null>;
}

/** What a request for correction asks, for the caller's memory. */
export async function readValues(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
): Promise<Record<string, string | null>> {
  return (await openSealed<RequestSecret>(pool, vault, requestId, "secret"))?.values ?? {};
}

/**
 * Corrects the person's records of one stream, where they stand, and remembers it: what the source sends of them is
 * corrected as it lands, until it sends the right value itself. Identifiers take their new tokens. Done again, it changes nothing.
 * @returns how many values were corrected
 * @throws UserError without a value where one can't be of its field
 */
export async function correctStream(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  { plan, values }: StreamCorrection,
  actor: string,
): Promise<number> {
  const right = new Map([...values].map(([field, text]) => [field, readRightValue(plan, field, text)]));
  const sought = await openIdentifiers(pool, vault, requestId);
  const scope = await resolveScope(pool, vault, sought);
  const given = sought.map(({ kind, canonical }) => vault.naming.token(kind, canonical));
  const asked = given.filter((token) => scope.tokens.includes(token));
  const table = (await readRawTables(pool)).find(({ name }) => name === plan.table);
  if (!table) return 0;
  return await inTransaction(pool, async (client) => {
    const epoch = await readEpoch(client);
    // Who is being erased is let alone: a right value would land after the list of what is to go was made.
    if (await namesErased(client, vault, epoch, sought)) return 0;
    await holdErased(client, [scope]);
    await findRows(client, table, true, "select null::uuid as record_key where false");
    const { rows } = await client.query<{ key: string }>("select record_key as key from found where not is_anothers");
    const keys = rows.map(({ key }) => key);
    const wrong = await replaceValues(pool, client, vault, plan, new Map(keys.map((key) => [key, right])));
    for (const [recordKey, before] of wrong) {
      for (const [field, value] of before) {
        const correction = {
          right: right.get(field) ?? null,
          wrong: await sentBefore(pool, client, vault, recordKey, field, value),
        };
        const tokens = correctedTokens(vault, plan, field, correction);
        await client.query(
          `insert into privacy.corrections as c
             (record_key, source, stream, field, sealed, subject_tokens, request_id, value_identifiers, asked_as)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           on conflict (record_key, field) do update set sealed = excluded.sealed, subject_tokens = excluded.subject_tokens,
             request_id = excluded.request_id, value_identifiers = excluded.value_identifiers, corrected_at = now(),
             asked_as = array(select unnest(c.asked_as) union select unnest(excluded.asked_as))`,
          [
            recordKey,
            plan.stream.source,
            plan.stream.name,
            field,
            await sealCorrection(pool, vault, recordKey, field, correction),
            [...new Set([...scope.tokens, ...tokens])],
            requestId,
            tokens,
            asked,
          ],
        );
      }
    }
    const count = [...wrong.values()].reduce((sum, before) => sum + before.size, 0);
    await recordAudit(client, {
      actor,
      action: "record.correct",
      detail: {
        request: requestId,
        stream: `${plan.stream.source}.${plan.stream.name}`,
        fields: [...values.keys()].join(" "),
        values: count,
      },
    });
    if ((await lockEpoch(client)) !== epoch) throw erasureBetween();
    return count;
  });
}

/** Takes a request's corrections back: what the source has sent stands again. @returns how many values */
export async function releaseCorrections(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  plan: StreamPlan,
  actor: string,
): Promise<number> {
  return await inTransaction(pool, async (client) => {
    const epoch = await readEpoch(client);
    const { rows } = await client.query<{ key: string; field: string; sealed: Buffer }>(
      "select record_key as key, field, sealed from privacy.corrections where request_id = $1 and source = $2 and stream = $3",
      [requestId, plan.stream.source, plan.stream.name],
    );
    const values = new Map<string, Map<string, string | null>>();
    for (const { key, field, sealed } of rows) {
      const of = values.get(key) ?? new Map<string, string | null>();
      of.set(field, (await openCorrection(pool, vault, key, field, sealed)).wrong);
      values.set(key, of);
    }
    await replaceValues(pool, client, vault, plan, values);
    await client.query("delete from privacy.corrections where request_id = $1 and source = $2 and stream = $3", [
      requestId,
      plan.stream.source,
      plan.stream.name,
    ]);
    await recordAudit(client, { actor, action: "record.release", detail: { request: requestId, values: rows.length } });
    if ((await lockEpoch(client)) !== epoch) throw erasureBetween();
    return rows.length;
  });
}

/**
 * Closes a request for correction. Whoever was handed something of the person before stands in the receipt, and has to be
 * told by hand (GDPR article 19). Where nothing was corrected since the person was erased, it is refused: nothing is held of
 * them. Done again, it gives the receipt that was issued.
 */
export async function completeCorrection(
  pool: pg.Pool,
  vault: Vault,
  { requestId, corrected }: { requestId: string; corrected: number },
): Promise<RequestReport> {
  const { kind, jurisdiction, receivedAt, terms } = await readRequest(pool, requestId);
  const sought = await openIdentifiers(pool, vault, requestId);
  const isOfErased =
    corrected === 0 &&
    (await inTransaction(pool, async (client) => namesErased(client, vault, await readEpoch(client), sought)));
  if (isOfErased || terms.refusal !== undefined) {
    const refusal = { requestId, reason: terms.refusal ?? "no_data", actor: "worker", isBegun: true };
    return { state: "refused", receipt: (await refuseRequest(pool, vault, refusal)).receipt };
  }
  const receipt = await issueReceiptOnce(pool, vault, requestId, kind, async () => {
    const { customers } = await resolveScope(pool, vault, sought);
    const { rows: told } = await pool.query<{ recipient: string }>(
      "select distinct recipient from privacy.recipients where customer_id = any($1::uuid[]) and state <> 'withheld' order by recipient",
      [customers],
    );
    return {
      kind,
      outcome: "completed",
      jurisdiction,
      received_at: receivedAt,
      fields: terms.fields ?? [],
      values: corrected,
      recipients: told.map(({ recipient }) => ({ recipient, status: "manual" })),
    };
  });
  await inTransaction(pool, (client) =>
    moveRequest(client, requestId, ["running"], "completed", "worker", { receipt }),
  );
  await forgetSubject(pool, vault, requestId);
  return { state: "completed", receipt };
}

function erasureBetween(): CodedError {
  return new CodedError("epoch_conflict", "an erasure began while records were corrected", { retryable: true });
}

/** Whether one of the identifiers by which somebody asks is an erased person's. */
async function namesErased(
  client: pg.ClientBase,
  vault: Vault,
  epoch: string,
  sought: readonly Sought[],
): Promise<boolean> {
  const suppressions = await readSuppressions(client, vault, epoch);
  return sought.some(({ kind, canonical }) => suppressions?.has(kind, canonical, canonical.includes("@")) ?? false);
}

/** What the source had sent, where a value is corrected a second time. */
async function sentBefore(
  pool: pg.Pool,
  client: pg.ClientBase,
  vault: Vault,
  recordKey: string,
  field: string,
  stood: string | null,
): Promise<string | null> {
  const { rows } = await client.query<{ sealed: Buffer }>(
    "select sealed from privacy.corrections where record_key = $1 and field = $2",
    [recordKey, field],
  );
  return rows[0] ? (await openCorrection(pool, vault, recordKey, field, rows[0].sealed)).wrong : stood;
}
