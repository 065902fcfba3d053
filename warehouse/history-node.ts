import { quoteName } from "./database.ts";
import type { ComputeContext, ModelNode, RelationSpec } from "./models/relation.ts";

const CUSTOMERS = "mart.dim_customers";

/** The attributes whose changes make a new version of a customer. */
const ATTRIBUTES = ["is_anonymous", "country", "birth_year", "registered_at"];

const HISTORY: RelationSpec = {
  name: "mart.dim_customer_history",
  grain: "One row per customer and span of time in which the customer's attributes were the same.",
  materialize: "table",
  key: ["customer_id", "valid"],
  follows: [],
  notNull: ["is_anonymous"],
  foreignKeys: [{ columns: ["customer_id"], references: "core.people" }],
  columns: {
    customer_id: "The customer",
    valid:
      "When the attributes held, to the day on which a build first saw others. The first span has no beginning and the current one no end, so `valid @> ordered_at` finds exactly one row",
    is_anonymous: "Whether nothing but devices was known of the customer",
    country: "Country of residence",
    birth_year: "Year of birth",
    registered_at: "When the customer first registered with a source",
  },
};

/**
 * History of customers (SCD2) as a node of the model graph: it compares the new `dim_customers` with the rows of the last
 * publish that are still open. A customer that was merged into another, or erased, loses all rows.
 */
export const historyNode: ModelNode = {
  name: "history",
  inputs: [CUSTOMERS],
  outputs: [HISTORY],
  version: "1",
  async compute(context) {
    const { client } = context;
    const published = context.published(HISTORY.name);
    const customers = context.input(CUSTOMERS);
    const query = published
      ? nextVersions(customers, published, await columnsOf(context, published))
      : firstVersions(customers);
    const { rowCount } = await client.query(`create table ${context.output(HISTORY.name)} as ${query}`);
    return { [HISTORY.name]: rowCount ?? 0 };
  },
  async computeChanges(context) {
    const { client } = context;
    const published = context.published(HISTORY.name);
    if (!published) return null;
    const only = (relation: string) =>
      `(select * from ${relation} where customer_id in (select customer_id from ${context.changes(CUSTOMERS)}))`;
    const history = only(published);
    await client.query(
      `create table ${context.touched(HISTORY.name)} as select customer_id, valid from ${history} as h`,
    );
    const query = nextVersions(only(context.input(CUSTOMERS)), history, await columnsOf(context, published));
    const { rowCount } = await client.query(`create table ${context.output(HISTORY.name)} as ${query}`);
    return { [HISTORY.name]: rowCount ?? 0 };
  },
};

/**
 * Every change of a day counts from the day's beginning, and a second one of the same day replaces the first: so a build
 * that is repeated writes what it wrote before.
 */
function nextVersions(customers: string, published: string, known: Set<string>): string {
  const now = ATTRIBUTES.map((name) => `c.${quoteName(name)}`).join(", ");
  // An attribute that the published history does not have yet counts as having been what it is.
  const then = ATTRIBUTES.map((name) => `${known.has(name) ? "h" : "c"}.${quoteName(name)}`).join(", ");
  const from = `${published} as h join ${customers} as c on c.customer_id = h.customer_id`;
  const isOpen = "upper_inf(h.valid)";
  const isChanged = `row(${then}) is distinct from row(${now})`;
  const isOlder = "(lower_inf(h.valid) or lower(h.valid) < ops.as_of())";
  return `
    select h.customer_id, h.valid, ${then} from ${from} where not (${isOpen} and ${isChanged})
    union all
    select h.customer_id, tstzrange(lower(h.valid), ops.as_of()), ${then} from ${from}
    where ${isOpen} and ${isChanged} and ${isOlder}
    union all
    select h.customer_id, tstzrange(case when ${isOlder} then ops.as_of() else lower(h.valid) end, null), ${now} from ${from}
    where ${isOpen} and ${isChanged}
    union all
    ${firstVersions(customers)} where not exists (select from ${published} as h where h.customer_id = c.customer_id)`;
}

function firstVersions(customers: string): string {
  const columns = ATTRIBUTES.map((name) => `c.${quoteName(name)}`).join(", ");
  return `select c.customer_id, tstzrange(null, null) as valid, ${columns} from ${customers} as c`;
}

async function columnsOf({ client }: ComputeContext, relation: string): Promise<Set<string>> {
  const { rows } = await client.query<{ name: string }>(
    "select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped",
    [relation],
  );
  return new Set(rows.map((row) => row.name));
}
