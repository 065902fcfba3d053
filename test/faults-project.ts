/**
 * 34,000 records in four streams, 200,000 in the long tests: a person's fields, versions, references, and a stream
 * without a key. The large streams have more than the 10,000 records of a page.
 */
const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const CUSTOMERS = IS_LONG ? 8_072 : 1_009;
const ORDERS = IS_LONG ? 72_000 : 11_000;
const VISITS = IS_LONG ? 48_000 : 11_000;
/** One of every thousand orders breaks its schema; its line is missing, so that every line has its order. */
const BROKEN_ORDERS = ORDERS / 1_000;
const BROKEN_VISITS = VISITS / 1_000;
/** Devices beyond the customers' own belong to nobody who is known. */
const DEVICES = IS_LONG ? 12_000 : 4_000;

export const RECORDS = CUSTOMERS + ORDERS + (ORDERS - BROKEN_ORDERS) + VISITS;

/** The project's own files, by path. */
export const PROJECT: Record<string, string> = {
  "miette.yaml": `name: faults
currency: EUR
time_zone: UTC
default_country: FR
sources:
  shop:
    connector: jsonl
    config: { path: data/customers.jsonl }
    streams:
      customers: { key: [id], version: revision, schema: schemas/customers.yaml }
      orders: { key: [id], version: revision, schema: schemas/orders.yaml, config: { path: data/orders.jsonl } }
      order_lines: { key: [order_id, line], version: revision, schema: schemas/order_lines.yaml, config: { path: data/order_lines.jsonl } }
      visits: { mode: append, schema: schemas/visits.yaml, config: { path: data/visits-*.jsonl } }
identity:
  identifiers:
    - { kind: customer_id, limit: 1 }
    - { kind: email, limit: 5 }
    - { kind: device_id, limit: 50 }
`,
  "schemas/customers.yaml": `type: object
required: [id, revision]
properties:
  id: { type: integer, personal: account_id, identifier: customer_id }
  email: { type: string, personal: email, identifier: email, keep: [domain] }
  full_name: { type: string, personal: name }
  country: { type: string }
  revision: { type: integer }
`,
  "schemas/orders.yaml": `type: object
required: [id, customer_id, ordered_at, amount, revision]
properties:
  id: { type: integer }
  customer_id: { type: integer, personal: account_id, identifier: customer_id }
  ordered_at: { type: string, format: date-time }
  amount: { type: number, decimal: [12, 2] }
  note: { type: string, personal: free_text }
  revision: { type: integer }
references: [{ field: customer_id, stream: customers }]
`,
  "schemas/order_lines.yaml": `type: object
required: [order_id, line, amount, revision]
properties:
  order_id: { type: integer }
  line: { type: integer }
  amount: { type: number, decimal: [12, 2] }
  revision: { type: integer }
references: [{ field: order_id, stream: orders }]
`,
  "schemas/visits.yaml": `type: object
required: [visit, device_id, visited_at]
properties:
  visit: { type: integer }
  device_id: { type: string, personal: device_id, identifier: device_id }
  customer_id: { type: integer, personal: account_id, identifier: customer_id }
  visited_at: { type: string, format: date-time }
`,
  "sql/models/staging/shop__customers.sql": `-- One row per customer.
-- contract: customers
select record_key, deleted_at, id as customer_ref, email as email_token, null::text as phone_token, country,
    null::integer as birth_year, null::timestamptz as registered_at
from raw.shop__customers
`,
  "sql/models/staging/shop__orders.sql": `-- One row per order.
-- contract: orders
select record_key, deleted_at, id::text as order_number, customer_id as customer_ref, null::text as email_token,
    ordered_at, null::timestamptz as delivered_at, amount, 'EUR' as currency
from raw.shop__orders
`,
  "sql/models/staging/shop__order_lines.sql": `-- One row per line of an order.
-- contract: order_lines
select record_key, deleted_at, order_record_key, line::integer as line_number, null::text as product_ref,
    1::numeric as quantity, amount, 'EUR' as currency
from raw.shop__order_lines
`,
  "sql/models/staging/shop__visits.sql": `-- One row per visit.
-- contract: events
select record_key, deleted_at, 'visited' as name, visited_at as occurred_at, device_id as device_token,
    customer_id as customer_ref, null::text as email_token, null::text as page_url, null::text as referrer,
    null::text as utm_source, null::text as utm_medium, null::text as utm_campaign, null::text as product_ref,
    jsonb_build_object('visit', visit) as properties
from raw.shop__visits
`,
};

/**
 * What the source delivers in a round, from 1: every customer, order and line in a new revision, and a further file of
 * visits, in which every tenth line repeats the one before: honest duplicates, which are two visits.
 */
export function dataOfRound(round: number): Record<string, string> {
  const time = (minute: number): string =>
    new Date(Date.UTC(2025, 0, 1) + minute * (IS_LONG ? 15_000 : 60_000)).toISOString();
  const customers = numbers(CUSTOMERS).map((id) => ({
    id,
    email: `customer.${id}@example.org`,
    full_name: `Customer Number ${id}`,
    country: (id + round) % 3 ? "FR" : "BE",
    revision: round,
  }));
  const orders = numbers(ORDERS).map((id) => ({
    id,
    customer_id: id % CUSTOMERS,
    ordered_at: time(id),
    amount: isBroken(id) ? `amount of ${round}` : amountOf(id, round),
    note: `please ring at the door of number ${id}`,
    revision: round,
  }));
  const lines = numbers(ORDERS)
    .filter((id) => !isBroken(id))
    .map((id) => ({ order_id: id, line: 1, amount: amountOf(id, round), revision: round }));
  const visits = numbers(VISITS).map((line) => {
    if (isBroken(line)) return "{ no JSON";
    const visit = visitOf(line, round);
    const device = deviceOf(visit);
    return JSON.stringify({
      visit,
      device_id: `device-${device}`,
      ...(device < CUSTOMERS ? { customer_id: device } : {}),
      visited_at: time(visit),
    });
  });
  const jsonl = (records: unknown[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");
  return {
    "data/customers.jsonl": jsonl(customers),
    "data/orders.jsonl": jsonl(orders),
    "data/order_lines.jsonl": jsonl(lines),
    [`data/visits-${String(round).padStart(4, "0")}.jsonl`]: `${visits.join("\n")}\n`,
  };
}

/** What raw must hold once the rounds up to this one have landed. */
export function rawAfter(round: number) {
  const sound = numbers(ORDERS).filter((id) => !isBroken(id));
  const visits = numbers(round).flatMap((earlier) => visitsOf(earlier + 1));
  return {
    customers: { rows: CUSTOMERS, revisions: CUSTOMERS * round, superseded: CUSTOMERS * (round - 1) },
    orders: {
      rows: sound.length,
      revisions: sound.length * round,
      superseded: sound.length * (round - 1),
      amount: total(round),
    },
    orderLines: {
      rows: sound.length,
      revisions: sound.length * round,
      superseded: sound.length * (round - 1),
      amount: total(round),
    },
    visits: {
      rows: visits.length,
      distinct: new Set(visits).size,
      sum: visits.reduce((sum, visit) => sum + visit, 0),
    },
    quarantined: (BROKEN_ORDERS + BROKEN_VISITS) * round,
  };
}

/** What the mart must hold once that is built. */
export function martAfter(round: number) {
  const { orders, orderLines, visits } = rawAfter(round);
  return {
    orders: { rows: orders.rows, amount: orders.amount, customers: CUSTOMERS },
    orderLines: { rows: orderLines.rows, amount: orderLines.amount },
    events: { rows: visits.rows, sum: visits.sum },
    customers: {
      known: CUSTOMERS,
      anonymous: new Set(
        visitsOf(round)
          .map(deviceOf)
          .filter((device) => device >= CUSTOMERS),
      ).size,
      belgian: numbers(CUSTOMERS).filter((id) => (id + round) % 3 === 0).length,
    },
  };
}

/** The visits that a round's file brings, without the broken lines. */
function visitsOf(round: number): number[] {
  return numbers(VISITS).flatMap((line) => (isBroken(line) ? [] : visitOf(line, round)));
}

function deviceOf(visit: number): number {
  return visit % DEVICES;
}

function visitOf(line: number, round: number): number {
  return (round - 1) * VISITS + (line % 10 === 9 && !isBroken(line - 1) ? line - 1 : line);
}

function isBroken(number: number): boolean {
  return number % 1_000 === 998;
}

/** Whole cents, so that sums are exact. */
function amountOf(id: number, round: number): number {
  return (1_000 + ((id * 37) % 9_973) + round) / 100;
}

function total(round: number): string {
  const cents = numbers(ORDERS)
    .filter((id) => !isBroken(id))
    .reduce((sum, id) => sum + Math.round(amountOf(id, round) * 100), 0);
  return (cents / 100).toFixed(2);
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
