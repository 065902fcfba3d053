import { quoteName } from "./database.ts";
import type { ComputeContext, ModelNode, RelationSpec } from "./models/relation.ts";

const CUSTOMERS = "mart.dim_customers";
const MERGED_PEOPLE = "core.merged_people";

/** The attributes whose changes make a new version of a customer. */
const ATTRIBUTES = ["is_anonymous", "country", "birth_year", "registered_at"];

const ATTRIBUTE_COLUMNS = {
  is_anonymous: "Whether nothing but devices was known of the customer",
  country: "Country of residence",
  birth_year: "Year of birth",
  registered_at: "When the customer first registered with a source",
};

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
    ...ATTRIBUTE_COLUMNS,
  },
};

/** Kept apart, so that an as-of join of the history finds one row, and kept, so that a split brings them back. */
const MERGED_HISTORY: RelationSpec = {
  name: "mart.merged_customer_history",
  grain: "One row per customer that was merged into another and span of time, as the history had it until then.",
  materialize: "table",
  key: ["former_customer_id", "valid"],
  follows: [],
  notNull: ["customer_id", "is_anonymous"],
  foreignKeys: [{ columns: ["customer_id"], references: "core.people" }],
  columns: {
    former_customer_id: "The id of the customer until the merge",
    customer_id: "The customer that it is part of now",
    valid: "When the attributes held",
    ...ATTRIBUTE_COLUMNS,
  },
};

/**
 * History of customers (SCD2) as a node of the model graph: it compares the new `dim_customers` with the rows of the last
 * publish that are still open. The rows of a customer that was merged into another wait in a table of their own, from
 * which a split brings them back. A customer that was erased loses all rows.
 */
export const historyNode: ModelNode = {
  name: "history",
  inputs: [CUSTOMERS, MERGED_PEOPLE],
  outputs: [HISTORY, MERGED_HISTORY],
  remembers: [HISTORY.name, MERGED_HISTORY.name],
  version: "2",
  async compute(context) {
    return await write(context, context.input(CUSTOMERS), await readBefore(context, null));
  },
  async computeChanges(context) {
    const { client, changes, published, touched } = context;
    const [history, waiting] = [published(HISTORY.name), published(MERGED_HISTORY.name)];
    if (!history || !waiting) return false;
    const ids = [
      [CUSTOMERS, "customer_id"],
      [MERGED_PEOPLE, "former_customer_id"],
    ].flatMap(([relation, key]) => (changes(relation!) ? [`select ${key} from ${changes(relation!)}`] : []));
    if (!ids.length) return false;
    const isTouched = (key: string) => `where ${key} in (${ids.join(" union ")})`;
    await client.query(
      `create table ${touched(HISTORY.name)} as select customer_id, valid from ${history} ${isTouched("customer_id")};
       create table ${touched(MERGED_HISTORY.name)} as
         select former_customer_id, valid from ${waiting} ${isTouched("former_customer_id")}`,
    );
    const customers = `(select * from ${context.input(CUSTOMERS)} ${isTouched("customer_id")})`;
    await write(context, customers, await readBefore(context, isTouched));
    return true;
  },
};

/** The rows of the last publish, of living and of merged customers, and which attributes they have. */
interface Before {
  rows: string;
  known: ReadonlySet<string>;
}

async function readBefore(context: ComputeContext, where: ((key: string) => string) | null): Promise<Before | null> {
  const sources: string[] = [];
  let known: ReadonlySet<string> | null = null;
  for (const [table, key] of [
    [HISTORY, "customer_id"],
    [MERGED_HISTORY, "former_customer_id"],
  ] as const) {
    const published = context.published(table.name);
    if (!published) continue;
    const columns = await columnsOf(context, published);
    known ??= columns;
    const kept = ATTRIBUTES.filter((name) => known?.has(name)).map((name) =>
      columns.has(name) ? quoteName(name) : `${typedNull(context, name)} as ${quoteName(name)}`,
    );
    sources.push(
      `select ${[`${key} as customer_id`, "valid", ...kept].join(", ")} from ${published} ${where?.(key) ?? ""}`,
    );
  }
  return known ? { rows: `(${sources.join(" union all ")})`, known } : null;
}

async function write(
  context: ComputeContext,
  customers: string,
  before: Before | null,
): Promise<Record<string, number>> {
  const { client, input, output } = context;
  const query = before ? nextVersions(customers, before.rows, before.known) : firstVersions(customers);
  const history = await client.query(`create table ${output(HISTORY.name)} as ${query}`);
  const then = ATTRIBUTES.map((name) =>
    !before || before.known.has(name) ? `h.${quoteName(name)}` : `${typedNull(context, name)} as ${quoteName(name)}`,
  );
  const merged = await client.query(
    `create table ${output(MERGED_HISTORY.name)} as
     select m.former_customer_id, m.customer_id, h.valid, ${then.join(", ")}
     from ${input(MERGED_PEOPLE)} as m
     join ${before?.rows ?? `(${firstVersions(customers)})`} as h on h.customer_id = m.former_customer_id`,
  );
  return { [HISTORY.name]: history.rowCount ?? 0, [MERGED_HISTORY.name]: merged.rowCount ?? 0 };
}

/** Of the type that the attribute has now. */
function typedNull({ input }: ComputeContext, name: string): string {
  return `(select ${quoteName(name)} from ${input(CUSTOMERS)} where false)`;
}

/**
 * Every change of a day counts from the day's beginning, and a second one of the same day replaces the first: so a build
 * that is repeated writes what it wrote before. One that takes the first back leaves no seam. Spans look at their
 * neighbours by window: a join of spans with themselves has no statistics to go by, and took 24 s for 4,000 of them.
 */
function nextVersions(customers: string, published: string, known: ReadonlySet<string>): string {
  const now = ATTRIBUTES.map((name) => `c.${quoteName(name)}`).join(", ");
  // An attribute that the published history does not have yet counts as having been what it is.
  const then = ATTRIBUTES.map((name) => `${known.has(name) ? "h" : "c"}.${quoteName(name)}`).join(", ");
  const from = `${published} as h join ${customers} as c on c.customer_id = h.customer_id`;
  const isOpen = "upper_inf(h.valid)";
  const isChanged = `row(${then}) is distinct from row(${now})`;
  const isOlder = "(lower_inf(h.valid) or lower(h.valid) < ops.as_of())";
  const attributes = ATTRIBUTES.map((name) => quoteName(name)).join(", ");
  return `with next (customer_id, valid, ${attributes}) as (
    select h.customer_id, h.valid, ${then} from ${from} where not (${isOpen} and ${isChanged})
    union all
    select h.customer_id, tstzrange(lower(h.valid), ops.as_of()), ${then} from ${from}
    where ${isOpen} and ${isChanged} and ${isOlder}
    union all
    select h.customer_id, tstzrange(case when ${isOlder} then ops.as_of() else lower(h.valid) end, null), ${now} from ${from}
    where ${isOpen} and ${isChanged}
    union all
    ${firstVersions(customers)} where not exists (select from ${published} as h where h.customer_id = c.customer_id)
    ),
    following as (
      select next.*, coalesce(lower(valid) = ops.as_of() and lag(upper(valid)) over spans = ops.as_of()
        and lag(row(${attributes})) over spans is not distinct from row(${attributes}), false) as is_seam
      from next window spans as (partition by customer_id order by lower(valid) nulls first)
    ),
    followed as (
      select following.*, lead(is_seam) over spans as ends_in_seam, lead(upper(valid)) over spans as until
      from following window spans as (partition by customer_id order by lower(valid) nulls first)
    )
    select customer_id, tstzrange(lower(valid), case when ends_in_seam then until else upper(valid) end) as valid, ${attributes}
    from followed where not is_seam`;
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
