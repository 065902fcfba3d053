import { quoteName } from "../database.ts";
import type { ComputeContext } from "../models/relation.ts";
import type { ContractColumns } from "./contracts.ts";
import { FAMILIAR } from "./familiar.ts";
import { RECORD_OWNERS } from "./tables.ts";

type Context = Pick<ComputeContext, "client" | "output" | "published" | "input">;

/** Gives records without an owner of their own that of the order they refer to; returns how many. */
export async function addOwnersByReference(
  { client, output }: Pick<Context, "client" | "output">,
  contracts: readonly ContractColumns[],
): Promise<number> {
  const owners = output(RECORD_OWNERS.name);
  const references = referencesOf(contracts);
  if (!references || !(await client.query(`${references} limit 1`)).rowCount) return 0;
  await client.query(`analyze ${owners}`);
  return await inherit(client, owners, { references: `(${references})`, parents: owners, own: owners });
}

/**
 * The same for touched records, to which those are added that refer to an order which has got its owner just now, be it a
 * familiar one.
 * @param touched quoted names of relations: the touched records, and their published owners
 */
export async function addOwnersOfChanges(
  { client, output, published, input }: Context,
  contracts: readonly ContractColumns[],
  { records, owned }: { records: string; owned: string },
): Promise<void> {
  const [owners, before] = [output(RECORD_OWNERS.name), published(RECORD_OWNERS.name)!];
  const references = referencesOf(contracts);
  if (!references) return;
  await client.query(`analyze ${owners}`);
  const now = `(select record_key, customer_id from ${owners} union all select record_key, customer_id from ${FAMILIAR})`;
  const { rows: come } = await client.query<{ record_key: string }>(
    `select record_key from ${now} as owner join ${input("core.orders")} as orders using (record_key)
     where not exists (select from ${owned} as former where former.record_key = owner.record_key)`,
  );
  const within = quoteName("build_core", "identity_references");
  await client.query(`create table ${within} as select record_key, order_record_key from (${references}) as record
    where record_key in (select record_key from ${records})`);
  if (come.length) {
    await client.query(
      // Of these the owner alone is told anew: whatever else is published of them stays.
      `insert into ${within} select record_key, order_record_key from (${references}) as record
       where record_key in (
         select record_key from (${references}) as referring where order_record_key = any($1)
           -- One that has an owner has it by an identifier of its own.
           and not exists (select from ${before} as former where former.record_key = referring.record_key)
           and not exists (select from ${records} as touched where touched.record_key = referring.record_key)
       )`,
      [come.map(({ record_key }) => record_key)],
    );
  }
  await client.query(`analyze ${within}`);
  // An order that is not touched has the owner it had.
  const parents = `(select record_key, customer_id from ${now} as owner
    union all select record_key, customer_id from ${before} as former
    where record_key in (select order_record_key from ${within})
      and not exists (select from ${records} as touched where touched.record_key = former.record_key))`;
  await inherit(client, owners, { references: within, parents, own: now });
  await client.query(`drop table ${within}`);
}

function referencesOf(contracts: readonly ContractColumns[]): string | null {
  const references = contracts
    .filter((contract) => contract.refersToOrder)
    .map(({ from }) => `select record_key, order_record_key from ${from}`);
  return references.length ? references.join(" union all ") : null;
}

async function inherit(
  client: Context["client"],
  owners: string,
  { references, parents, own }: { references: string; parents: string; own: string },
): Promise<number> {
  const { rowCount } = await client.query(
    `insert into ${owners} (record_key, customer_id)
     select distinct on (record.record_key) record.record_key, parent.customer_id
     from ${references} as record
     join ${parents} as parent on parent.record_key = record.order_record_key
     where not exists (select from ${own} as own where own.record_key = record.record_key)
     order by record.record_key, record.order_record_key`,
  );
  return rowCount ?? 0;
}
