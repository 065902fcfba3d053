import type pg from "pg";
import { UserError } from "../domain/errors.ts";
import { recordAudit, subjectReference } from "./audit.ts";
import { inTransaction } from "./database.ts";

/** What has leaked: a batch that was handed over, all that a recipient got, or the keys of a generation. */
export type Leak = { batch: string } | { recipient: string } | { generation: number };

export interface BreachScope {
  /** People, as the audit names them. */
  subjects: string[];
  /** Identifiers under the keys of a generation that are nobody's: shared, blocked, or not resolved yet. */
  unassigned: number;
  byChannel: { recipient: string; audience: string; purpose: string; fields: string; people: number }[];
  /** Of all laws that the person's events in the consent ledger name the latest; null: none is named. */
  byJurisdiction: { jurisdiction: string | null; people: number }[];
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Whom a leak touches (GDPR articles 33 and 34), without opening anything: references and counts alone. It goes into the
 * audit. A hand-over that was cut off counts, since nobody knows what arrived; one that was withheld does not. A generation
 * wrapped every key that lived while it did, since a rotation wraps the living anew.
 * @param span when it leaked; of a generation: what was known by the end and had come since the beginning
 * @throws UserError where there is no such batch, recipient or generation
 */
export async function scopeBreach(
  pool: pg.Pool,
  leak: Leak,
  span: { from: Date | null; to: Date | null },
  actor: string,
): Promise<BreachScope> {
  return await inTransaction(
    pool,
    async (client) => {
      await client.query("create temporary table touched (customer_id uuid primary key) on commit drop");
      const scope =
        "generation" in leak ? await byGeneration(client, leak.generation, span) : await byHandOver(client, leak, span);
      const { rows: people } = await client.query<{ id: string }>(
        "select customer_id as id from touched order by customer_id",
      );
      const subjects: string[] = [];
      for (const { id } of people) subjects.push(await subjectReference(client, { customerId: id }));
      const { rows: byJurisdiction } = await client.query<BreachScope["byJurisdiction"][number]>(
        `select said.jurisdiction, count(*)::integer as people
         from touched left join lateral (
           select event.jurisdiction from core.identifiers as i
           join privacy.consent_identifiers as who on who.token = i.token
           join privacy.consent_events as event on event.event_id = who.event_id
           where i.customer_id = touched.customer_id and event.jurisdiction is not null
           order by event.event_id desc limit 1) as said on true
         group by said.jurisdiction order by people desc, said.jurisdiction`,
      );
      await recordAudit(client, {
        actor,
        action: "breach.scope",
        detail: {
          ...leak,
          from: span.from?.toISOString() ?? null,
          to: span.to?.toISOString() ?? null,
          people: subjects.length,
        },
      });
      // Ids of people are random, and so is the order of what is sorted by them.
      return { ...scope, subjects: subjects.toSorted(), byJurisdiction };
    },
    "begin; set local role privacy",
  );
}

type Span = { from: Date | null; to: Date | null };

async function byHandOver(
  client: pg.ClientBase,
  leak: { batch: string } | { recipient: string },
  { from, to }: Span,
): Promise<Pick<BreachScope, "byChannel" | "unassigned">> {
  if ("batch" in leak && !UUID.test(leak.batch)) throw new UserError("is no id of a batch", { key: "--batch" });
  const [column, value] = "batch" in leak ? ["batch_id", leak.batch] : ["recipient", leak.recipient];
  const { rows: known } = await client.query(`select from privacy.recipients where ${column} = $1 limit 1`, [value]);
  if (known.length === 0) {
    throw new UserError("nothing was ever handed over under this name", {
      key: "batch" in leak ? "--batch" : "--recipient",
    });
  }
  const where = `r.${column} = $1 and r.state <> 'withheld' and r.claimed_at >= coalesce($2::timestamptz, '-infinity')
    and r.claimed_at <= coalesce($3::timestamptz, 'infinity')`;
  await client.query(`insert into touched select distinct customer_id from privacy.recipients as r where ${where}`, [
    value,
    from,
    to,
  ]);
  const { rows } = await client.query<BreachScope["byChannel"][number]>(
    `select recipient, audience, purpose, array_to_string(fields, ' ') as fields, count(distinct customer_id)::integer as people
     from privacy.recipients as r where ${where} group by 1, 2, 3, 4 order by 1, 2, 3, 4`,
    [value, from, to],
  );
  return { byChannel: rows, unassigned: 0 };
}

async function byGeneration(
  client: pg.ClientBase,
  generation: number,
  { from, to }: Span,
): Promise<Pick<BreachScope, "byChannel" | "unassigned">> {
  const { rows: known } = await client.query<{ ended: string | null }>(
    "select destroyed_at::text as ended from vault.generations where generation = $1",
    [generation],
  );
  if (!known[0])
    throw new UserError("there is no such key generation; miette keys status lists them", { key: "--generation" });
  const { rows } = await client.query<{ unassigned: number }>(
    `with exposed as materialized (
       select token from vault.identifiers
       where created_at >= coalesce($1::timestamptz, '-infinity')
         and created_at <= least(coalesce($2::timestamptz, 'infinity'), coalesce($3::timestamptz, 'infinity'))
     ),
     found as (
       insert into touched select distinct i.customer_id from exposed join core.identifiers as i using (token)
       where i.customer_id <> ops.nobody()
     )
     select count(*)::integer as unassigned from exposed
     where not exists (select from core.identifiers as i where i.token = exposed.token and i.customer_id <> ops.nobody())`,
    [from, to, known[0].ended],
  );
  return { byChannel: [], unassigned: rows[0]?.unassigned ?? 0 };
}
