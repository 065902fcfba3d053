import type { Pool } from "pg";
import { UserError } from "../../domain/errors.ts";
import type { SensitiveCategory } from "../../domain/streams.ts";
import { SURVIVING_ATTRIBUTES, type SurvivorshipRule } from "../../domain/survivorship.ts";
import { quoteName } from "../database.ts";
import { findCustomer } from "./explain.ts";

/** What one record says of an attribute. */
export interface AttributeRecord {
  /** Null where the attribute is sensitive. */
  value: string | null;
  source: string;
  recordKey: string;
  registeredAt: string | null;
  /** How many of the customer's records hold this value. */
  records: number;
}

/**
 * Why a customer has a value of an attribute: the rule that the last build went by, and the records that hold a value, in
 * the order of the rule, so that the first is the one that won.
 * @param sensitive of which special category the attribute tells, if any: then the values are left out
 * Throws UserError where there is no such customer, or the attribute is none that records decide.
 */
export async function explainAttribute(
  pool: Pool,
  customer: string,
  attribute: string,
  sensitive: SensitiveCategory | null,
): Promise<{ customerId: string; rule: SurvivorshipRule; records: AttributeRecord[] }> {
  const known = SURVIVING_ATTRIBUTES.find((name) => name === attribute);
  if (!known) {
    throw new UserError(
      `${attribute.slice(0, 80)} is no attribute that records decide; write one of ${SURVIVING_ATTRIBUTES.join(", ")}.`,
      { key: "--attribute" },
    );
  }
  const { customerId } = await findCustomer(pool, customer);
  const { rows: rules } = await pool.query<SurvivorshipRule>(
    `select attribute, rule as "by", sources from core.survivorship_rules where attribute = $1`,
    [known],
  );
  const [rule] = rules;
  if (!rule) throw new UserError('no build has gone by a rule of this attribute yet; run "miette build" first.');
  const column = quoteName(known);
  // The order of mart.dim_customers; a test holds the two to each other.
  const { rows: records } = await pool.query<AttributeRecord>(
    `select ${sensitive === null ? `${column}::text` : "null"} as value, source, record_key as "recordKey", registered_at as "registeredAt",
       (count(*) over (partition by ${column}))::float8 as records
     from core.customer_records
     where customer_id = $1 and ${column} is not null
     order by array_position($2::text[], source) nulls last,
       case when $3 = 'most_frequent' then count(*) over (partition by ${column}) end desc,
       registered_at desc nulls last, record_key`,
    [customerId, rule.sources, rule.by],
  );
  return { customerId, rule, records };
}
