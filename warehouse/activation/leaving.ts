import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import { putAlerts } from "../alerts.ts";
import { recordAudit } from "../audit.ts";
import { inTransaction } from "../database.ts";
import type { Vault } from "../vault.ts";
import { readHanded } from "./erasures.ts";
import type { Handed } from "./send.ts";

/** People who have to leave an audience, as the destination knows them. */
export interface Leaving {
  audience: string;
  people: Handed[];
}

/** Whom a destination was to take out, by the last that was done about each, and has not, since only a person can have it done. */
const LEFT = `
  select batch_id, customer_id, audience, claimed_at from (
    select distinct on (r.audience, r.customer_id) r.*, d.state as outcome
    from privacy.recipients as r join privacy.deliveries as d on d.delivery_id = r.batch_id
    where r.recipient = $1 and r.state <> 'withheld'
    order by r.audience, r.customer_id, r.claimed_at desc, r.operation = 'remove' desc
  ) as last
  where operation = 'remove' and state = 'unknown' and outcome in ('manual', 'unsupported')`;

/**
 * Whom a destination has to be asked to take out of its audiences, for the memory of who asks it. The audit knows that it
 * was looked at. @throws UserError where nothing was ever handed over to a destination of that name
 */
export async function openLeaving(pool: pg.Pool, vault: Vault, destination: string, actor: string): Promise<Leaving[]> {
  return await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ audience: string; customers: string[] }>(
      `select audience, array_agg(customer_id order by customer_id) as customers from (${LEFT}) as left_to_person
       group by audience order by audience`,
      [destination],
    );
    if (rows.length === 0) {
      await confirmHanded(client, destination);
      return [];
    }
    const handed = await readHanded(client, vault, [...new Set(rows.flatMap(({ customers }) => customers))]);
    const known = handed.get(destination);
    const detail = {
      recipient: destination,
      customers: rows.reduce((sum, { customers }) => sum + customers.length, 0),
    };
    await recordAudit(client, { actor, action: "audience.leaving", purpose: "removal by hand", detail });
    return rows.map(({ audience, customers }) => ({
      audience,
      people: customers.map((id) => known?.get(vault.naming.pseudonym(destination, id))).filter((person) => !!person),
    }));
  });
}

async function confirmHanded(client: pg.ClientBase, destination: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "select distinct destination as name from privacy.deliveries where operation = 'deliver' order by name",
  );
  const names = rows.map(({ name }) => name);
  if (names.includes(destination)) return;
  const others = names.length > 0 ? `; something was to ${names.join(", ")}` : "";
  throw new UserError(`nothing was ever handed over to ${destination}, so nobody has to leave it${others}`, {
    key: "destination",
  });
}

/**
 * Notes that a destination was asked to take out those who were shown the last time: who has come since is not among them.
 * @returns how many. @throws UserError where nobody was shown
 */
export async function finishLeaving(pool: pg.Pool, destination: string, actor: string): Promise<number> {
  return await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      `update privacy.recipients as r set state = 'done', settled_at = now()
       from (${LEFT}) as left_to_person
       where r.batch_id = left_to_person.batch_id and r.customer_id = left_to_person.customer_id
         and left_to_person.claimed_at <= (select max(happened_at) from privacy.audit
           where action = 'audience.leaving' and detail ->> 'recipient' = $1)`,
      [destination],
    );
    if (!rowCount) {
      const message = `nobody is noted who has to be taken out of ${destination} by hand; miette segment leaving ${destination} shows whom, before it is noted`;
      throw new UserError(message, { key: "destination" });
    }
    await recordAudit(client, {
      actor,
      action: "audience.left",
      purpose: "removal by hand",
      detail: { recipient: destination, customers: rowCount },
    });
    await closeIfDone(client, destination);
    return rowCount;
  });
}

/** Ends the calls for a person where nobody is left to be taken out, since a destination does it itself again. */
export async function closeLeaving(pool: pg.Pool): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ destination: string }>(
      "select substr(subject, 9) as destination from ops.alerts where subject like 'removal:%' and state <> 'ok' order by subject",
    );
    for (const { destination } of rows) await closeIfDone(client, destination);
  });
}

async function closeIfDone(client: pg.ClientBase, destination: string): Promise<void> {
  const { rowCount } = await client.query(`select from (${LEFT}) as left_to_person limit 1`, [destination]);
  if (rowCount) return;
  await putAlerts(client, [{ subject: `removal:${destination}`, state: "ok", code: "manual", counts: {} }]);
}
