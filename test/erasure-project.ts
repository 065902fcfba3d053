import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { WEBHOOK_SECRET } from "./webhook-receiver.ts";

/** A shop with the people that erasures are tried on. Files of JSON lines, one folder; what is written again is delivered again. */
export const CANARY = {
  email: "canary-7f3a@victim.test",
  phone: "+4915199990001",
  name: "Zzyzx Canaryson",
  device: "dev-canary-7f3a",
  id: 7,
};
export const CONTROL = {
  email: "control@living.test",
  phone: "+4915199990002",
  name: "Cora Control",
  device: "dev-control",
  id: 8,
};

const field = (type: string, rest = ""): string => `{ type: [${type}, "null"]${rest} }`;
const id = (name: string): string => field("integer", `, personal: account_id, identifier: ${name}`);
const EMAIL = field("string", ", personal: email, identifier: email, keep: [domain]");
const DEVICE = field("string", ", personal: device_id, identifier: device_id");

const SCHEMAS: Record<string, Record<string, string>> = {
  customers: {
    id: id("customer_id"),
    email: EMAIL,
    phone: field("string", ", personal: phone, identifier: phone"),
    name: field("string", ", personal: name"),
    country: field("string"),
  },
  orders: {
    id: field("integer"),
    customer: id("customer_id"),
    email: EMAIL,
    gift_note: field("string", ", personal: free_text"),
    amount: field("number", ", decimal: [12, 2]"),
    ordered_at: field("string", ", format: date-time"),
  },
  lines: {
    id: field("integer"),
    order_id: field("integer"),
    product: field("string"),
    amount: field("number", ", decimal: [12, 2]"),
    engraving: field("string", ", personal: free_text"),
  },
  events: {
    id: field("integer"),
    device: DEVICE,
    email: EMAIL,
    url: field("string"),
    at: field("string", ", format: date-time"),
  },
  reviews: {
    id: field("integer"),
    email: EMAIL,
    stars: field("integer"),
    text: field("string", ", personal: free_text"),
  },
};

const STAGING: Record<string, string> = {
  customers: `-- contract: customers
select record_key, deleted_at, id as customer_ref, email as email_token, phone as phone_token, country,
    null::integer as birth_year, null::timestamptz as registered_at from raw.shop__customers`,
  orders: `-- contract: orders
select record_key, deleted_at, id::text as order_number, customer as customer_ref, email as email_token, ordered_at,
    null::timestamptz as delivered_at, amount::numeric as amount, 'EUR' as currency from raw.shop__orders`,
  lines: `-- contract: order_lines
select record_key, deleted_at, order_record_key, id::integer as line_number, product as product_ref, 1::numeric as quantity,
    amount::numeric as amount, 'EUR' as currency from raw.shop__lines`,
  events: `-- contract: events
select record_key, deleted_at, 'page_viewed' as name, at as occurred_at, device as device_token, null::text as customer_ref,
    email as email_token, url as page_url, null::text as referrer, substring(url from 'utm_source=(\\w+)') as utm_source,
    substring(url from 'utm_medium=(\\w+)') as utm_medium, null::text as utm_campaign, null::text as product_ref,
    null::jsonb as properties from raw.shop__events`,
  reviews: `-- contract: reviews
select record_key, deleted_at, null::text as product_ref, null::text as customer_ref, email as email_token,
    null::uuid as order_record_key, stars::numeric as rating, null::numeric as sentiment,
    '2026-02-01T00:00:00Z'::timestamptz as reviewed_at from raw.shop__reviews`,
};

export type Rows = Record<string, Record<string, unknown>[]>;

/** What the shop's sources say: two people with orders, visits and reviews, and a crowd. */
export function shopRows(): Rows {
  const people = [CANARY, CONTROL, ...Array.from({ length: 30 }, (_, i) => crowd(100 + i))];
  const order = (number: number, person: typeof CANARY, amount: number, day: string) => ({
    id: number,
    customer: person.id,
    email: person.email,
    gift_note: `for ${person.name}`,
    amount,
    ordered_at: `${day}T12:00:00Z`,
  });
  const orders = [
    order(1, CANARY, 10.01, "2026-02-10"),
    order(2, CANARY, 20, "2026-02-11"),
    order(3, CONTROL, 30, "2026-02-10"),
    ...people.slice(2).map((person, i) => order(10 + i, person, 5 + i, "2026-02-10")),
  ];
  const visit = (number: number, person: typeof CANARY, day: string, source: string, email: string | null = null) => ({
    id: number,
    device: person.device,
    email,
    url: `https://shop.test/?utm_source=${source}&utm_medium=email`,
    at: `${day}T09:00:00Z`,
  });
  return {
    customers: people.map((person) => ({
      id: person.id,
      email: person.email,
      phone: person.phone,
      name: person.name,
      country: "DE",
    })),
    orders,
    lines: orders.map(({ id: order_id, amount }, i) => ({
      id: i + 1,
      order_id,
      product: `p${i % 3}`,
      amount,
      engraving: order_id === 1 ? "Zzyzx" : null,
    })),
    events: [
      visit(1, CANARY, "2026-02-08", "newsletter", CANARY.email),
      visit(2, CANARY, "2026-02-09", "google"),
      visit(3, CONTROL, "2026-02-08", "newsletter", CONTROL.email),
      // What somebody else did, with her address in it.
      { ...visit(4, CONTROL, "2026-02-09", "bing"), url: `https://shop.test/invite?to=${CANARY.email}` },
      ...people.slice(2).map((person, i) => visit(10 + i, person, "2026-02-09", "newsletter", person.email)),
    ],
    reviews: [
      { id: 1, email: CANARY.email.toUpperCase(), stars: 1, text: "Zzyzx was here" },
      { id: 2, email: CONTROL.email, stars: 5, text: "fine" },
    ],
  };
}

function crowd(number: number): typeof CANARY {
  return {
    email: `c${number}@crowd.test`,
    phone: `+49151888${10000 + number}`,
    name: `Crowd ${number}`,
    device: `dev-${number}`,
    id: number,
  };
}

/** Writes the project, without data. */
export async function writeErasureProject(directory: string): Promise<void> {
  for (const folder of ["schemas", "data", "logs", "sql/models/staging"])
    await mkdir(join(directory, folder), { recursive: true });
  for (const [stream, properties] of Object.entries(SCHEMAS)) {
    const references = stream === "lines" ? "references: [{ field: order_id, stream: orders }]\n" : "";
    const fields = Object.entries(properties).map(([name, schema]) => `  ${name}: ${schema}\n`);
    await writeFile(
      join(directory, `schemas/${stream}.yaml`),
      `type: object\n${references}properties:\n${fields.join("")}`,
    );
    await writeFile(
      join(directory, `sql/models/staging/shop__${stream}.sql`),
      `-- One row per record.\n${STAGING[stream]}\n`,
    );
  }
  const streams = Object.keys(SCHEMAS).map(
    (name) =>
      `      ${name}: { mode: upsert, key: [id], schema: schemas/${name}.yaml, config: { path: data/${name}.jsonl } }\n`,
  );
  await writeFile(
    join(directory, "miette.yaml"),
    `name: erasures
currency: EUR
time_zone: UTC
default_country: DE
sources:
  shop:
    connector: jsonl
    config: { path: "data/*.jsonl" }
    streams:
${streams.join("")}identity:
  identifiers:
    - { kind: customer_id, limit: 1 }
    - { kind: email, limit: 5, blocked: ["noreply@*"] }
    - { kind: phone, limit: 5 }
    - { kind: device_id, limit: 50, shared_above: 3 }
`,
  );
}

/** Adds a segment of everybody who has bought, and a destination `crm` that it may be handed to. */
export async function writeBuyersTo(directory: string, url: string): Promise<void> {
  await mkdir(join(directory, "sql/segments"), { recursive: true });
  await writeFile(
    join(directory, "sql/segments/buyers.sql"),
    "-- Customers who have bought.\n-- consent: marketing\nselect customer_id from mart.fct_orders\n",
  );
  await appendFile(
    join(directory, "miette.yaml"),
    `destinations:
  crm:
    connector: webhook
    fields: { email_address: email }
    counts_as: [sale]
    config: { url: "${url}", secret: "${WEBHOOK_SECRET}", timeout_seconds: 2 }
`,
  );
}

export async function writeRows(directory: string, rows: Rows): Promise<void> {
  for (const [stream, records] of Object.entries(rows)) {
    await writeFile(
      join(directory, `data/${stream}.jsonl`),
      records.map((record) => `${JSON.stringify(record)}\n`).join(""),
    );
  }
}
