import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { parse, stringify } from "yaml";
import { postgres } from "../connectors/postgres/source.ts";
import type { FieldSchema } from "../domain/streams.ts";

/** A table of Fides' example shop, as its annotations have it. */
export interface Collection {
  name: string;
  fields: {
    name: string;
    data_categories: string[];
    fides_meta?: {
      primary_key?: boolean;
      identity?: string;
      references?: { field: string; direction: "from" | "to" }[];
    };
  }[];
}

/** The view that takes the place of a table which is only pointed at, with the person who lives there. */
const OWNED = "owned_";

export async function readCollections(file: string): Promise<Collection[]> {
  const { dataset } = parse(await readFile(file, "utf8")) as { dataset: { collections: Collection[] }[] };
  return dataset.flatMap(({ collections }) => collections);
}

/** What kind of identifier a field holds; null: none. */
export function kindOf(collections: readonly Collection[], collection: string, field: string): string | null {
  const {
    name,
    data_categories,
    fides_meta = {},
  } = collections.find((each) => each.name === collection)!.fields.find((each) => each.name === field)!;
  if (fides_meta.identity === "email") return "email";
  if (!data_categories.includes("user.unique_id")) return null;
  const target = fides_meta.references?.find(({ direction }) => direction === "from")?.field.split(".")[0];
  return `${target ?? (name === "id" ? collection : name)}_id`;
}

const LABELS: [string, FieldSchema["personal"]][] = [
  ["user.contact.address.postal_code", "postal_code"],
  ["user.contact.address", "address"],
  ["user.contact.email", "email"],
  ["user.name", "name"],
  ["user.financial", "payment"],
  ["user.unique_id", "account_id"],
  ["user", "custom"],
];

/**
 * Writes a project over the database: a stream for each collection, its fields labelled by the annotations and by nothing
 * else. A table that others point to names nobody, so a view beside it says who alone lives there.
 * @returns the fields of each stream's key
 */
export async function writeAnnotatedProject(
  directory: string,
  url: string,
  collections: Collection[],
): Promise<Map<string, string[]>> {
  const pointedAt = await ownTables(url, collections);
  const discovered = await postgres.discover({ url }, { signal: new AbortController().signal, directory });
  const streams: Record<string, object> = {};
  const keys = new Map<string, string[]>();
  await mkdir(join(directory, "schemas"), { recursive: true });
  await mkdir(join(directory, "logs"));
  for (const { name, fields } of collections) {
    const found = discovered.find((each) => each.name === name)!;
    const typeOf = (field: string): FieldSchema => {
      const { type, format, decimal } = found.schema.properties[field]!;
      return { type, ...(format && { format }), ...(decimal && { decimal }) };
    };
    const properties: Record<string, FieldSchema> = {};
    for (const field of found.key ?? []) properties[field] = typeOf(field);
    for (const { name: field, data_categories } of fields) {
      const identifier = kindOf(collections, name, field);
      const label = LABELS.find(([category]) => data_categories.some((each) => each.startsWith(category)))?.[1];
      const personal = identifier === "email" ? "email" : label;
      properties[field] = { ...typeOf(field), ...(personal && { personal }), ...(identifier && { identifier }) };
    }
    if (pointedAt.has(name)) {
      for (const kind of ["customer_id", "employee_id"]) {
        properties[kind] = { type: ["integer", "null"], personal: "account_id", identifier: kind };
      }
    }
    const references = fields.flatMap(({ name: field, fides_meta }) =>
      (fides_meta?.references ?? [])
        .filter(({ direction }) => direction === "from")
        .map((each) => ({ field, stream: each.field.split(".")[0] })),
    );
    await writeFile(
      join(directory, `schemas/${name}.yaml`),
      stringify({ type: "object", properties, ...(references.length > 0 && { references }) }),
    );
    keys.set(name, found.key ?? []);
    streams[name] = {
      key: found.key,
      schema: `schemas/${name}.yaml`,
      ...(pointedAt.has(name) && { config: { table: `${OWNED}${name}` } }),
    };
  }
  await writeFile(
    join(directory, "miette.yaml"),
    stringify({
      name: "annotated",
      currency: "USD",
      time_zone: "UTC",
      sources: { shop: { connector: "postgres", config: { url }, streams } },
      identity: {
        identifiers: [
          { kind: "customer_id", limit: 1 },
          { kind: "email", limit: 5 },
          { kind: "employee_id", limit: 1 },
        ],
      },
    }),
  );
  await mkdir(join(directory, "sql/models/staging"), { recursive: true });
  for (const [stream, select] of Object.entries(STAGING)) {
    await writeFile(join(directory, `sql/models/staging/shop__${stream}.sql`), `-- One row per record.\n${select}\n`);
  }
  return keys;
}

/** Makes the views. @returns the tables that have one */
async function ownTables(url: string, collections: readonly Collection[]): Promise<Set<string>> {
  const residents = new Map<string, string[]>();
  for (const { name, fields } of collections) {
    const owner = fields.find(({ name: field }) =>
      /^(?:customer|employee)_id$/.test(kindOf(collections, name, field) ?? ""),
    );
    for (const { name: field, fides_meta } of fields) {
      for (const { field: target, direction } of fides_meta?.references ?? []) {
        const [table = "", key] = target.split(".");
        if (
          direction !== "to" ||
          !owner ||
          collections
            .find((each) => each.name === table)!
            .fields.every((each) => !each.data_categories[0]!.startsWith("user"))
        )
          continue;
        const kind = kindOf(collections, name, owner.name);
        residents.set(table, [
          ...(residents.get(table) ?? []),
          `select ${field} as ${key}, '${kind}' as kind, ${owner.name} as person from ${name}`,
        ]);
      }
    }
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const [table, selects] of residents) {
    await client.query(`create view ${OWNED}${table} as
      select t.*, case when o.kind = 'customer_id' then o.person end as customer_id, case when o.kind = 'employee_id' then o.person end as employee_id
      from ${table} as t left join (
        select id, min(kind) as kind, min(person) as person from (${selects.join(" union ")}) as each
        group by id having count(*) = 1) as o on o.id = t.id`);
  }
  await client.end();
  return new Set(residents.keys());
}

const STAGING: Record<string, string> = {
  customer: `-- contract: customers
select record_key, deleted_at, id as customer_ref, email as email_token, null::text as phone_token, null::text as country,
    null::integer as birth_year, created as registered_at from raw.shop__customer`,
  employee: `-- contract: customers
select record_key, deleted_at, id as customer_ref, email as email_token, null::text as phone_token, null::text as country,
    null::integer as birth_year, null::timestamptz as registered_at from raw.shop__employee`,
  orders: `-- contract: orders
select record_key, deleted_at, id as order_number, customer_id as customer_ref, null::text as email_token,
    '2021-01-01T00:00:00Z'::timestamptz as ordered_at, null::timestamptz as delivered_at, 20::numeric as amount,
    'USD' as currency from raw.shop__orders`,
  visit: `-- contract: events
select record_key, deleted_at, 'visited' as name, last_visit as occurred_at, null::text as device_token,
    null::text as customer_ref, email as email_token, null::text as page_url, null::text as referrer, null::text as utm_source,
    null::text as utm_medium, null::text as utm_campaign, null::text as product_ref, null::jsonb as properties
from raw.shop__visit`,
  service_request: `-- contract: tickets
select record_key, deleted_at, null::text as customer_ref, email as email_token, alt_email as alt_email_token,
    opened::timestamptz as opened_at, closed::timestamptz as closed_at, null::text as topic, null::numeric as rating
from raw.shop__service_request`,
};
