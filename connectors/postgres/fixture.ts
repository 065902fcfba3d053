import { randomBytes } from "node:crypto";
import pg from "pg";
import type { FieldSchema } from "../../domain/streams.ts";
import type { ReadStream, SourceRecord } from "../connector.ts";
import { Rejected, Unauthorized, Unavailable } from "../errors.ts";
import type { Fixture } from "../fixture.ts";

/** A small shop with what is awkward to page over: ties, NULLs, a composite key, rows that are equal. */
const SHOP = `
  create table customers (id int primary key, email text, updated_at timestamptz);
  insert into customers select i, 'c' || i || '@shop.test', case when i > 2 then timestamptz '2024-01-01' + (i / 3) * interval '1 microsecond' end
    from generate_series(1, 12) i;
  create table order_lines (order_id int, line int, amount numeric(12, 2) not null, primary key (order_id, line));
  insert into order_lines select 9 + i / 3, i % 3, i * 1.5 from generate_series(1, 10) i;
  create table visits (page text, at timestamp);
  insert into visits select '/p' || i % 2, '2024-01-01' from generate_series(1, 7) i;
  create schema slow; create view slow.sleepy as select pg_sleep(60)::text as nap;`;

const customers: SourceRecord[] = Array.from({ length: 12 }, (_, index) => index + 1).map((id) => ({
  id: String(id),
  email: `c${id}@shop.test`,
  updated_at: id > 2 ? `2024-01-01T00:00:00.00000${Math.floor(id / 3)}Z` : null,
}));
const orderLines: SourceRecord[] = Array.from({ length: 10 }, (_, index) => index + 1).map((i) => ({
  order_id: String(9 + Math.floor(i / 3)),
  line: String(i % 3),
  amount: (i * 1.5).toFixed(2),
}));
const visits: SourceRecord[] = Array.from({ length: 7 }, (_, index) => ({
  page: `/p${(index + 1) % 2}`,
  at: "2024-01-01T00:00:00Z",
}));

function stream(
  name: string,
  options: { key?: string[]; cursor?: string },
  fields: Record<string, FieldSchema>,
): ReadStream {
  return {
    name,
    key: options.key ?? null,
    cursor: options.cursor ?? null,
    schema: { type: "object", properties: fields },
  };
}

const customerStream = stream(
  "customers",
  { key: ["id"], cursor: "updated_at" },
  {
    id: { type: "integer" },
    email: { type: ["string", "null"] },
    updated_at: { type: ["string", "null"], format: "date-time" },
  },
);
const lineStream = stream(
  "order_lines",
  { key: ["order_id", "line"] },
  {
    order_id: { type: "integer" },
    line: { type: "integer" },
    amount: { type: "number", decimal: [12, 2] },
  },
);
const visitStream = stream(
  "visits",
  {},
  {
    page: { type: ["string", "null"] },
    at: { type: ["string", "null"], format: "date-time" },
  },
);

export const fixture: Fixture = {
  async prepare({ postgresUrl }) {
    const name = `t_${randomBytes(6).toString("hex")}`;
    await run(`${postgresUrl}/postgres`, `create database ${name}`);
    const url = `${postgresUrl}/${name}`;
    await run(url, SHOP);
    const config = { url };
    const change = (edit: (changed: URL) => void) => {
      const changed = new URL(url);
      edit(changed);
      return { url: changed.href };
    };
    return {
      cases: [
        {
          title: "a table by its cursor column, with ties and NULLs",
          config,
          stream: customerStream,
          records: customers,
          // The ties of the last value, and what has none.
          again: customers.filter(({ id }) => ["1", "2", "12"].includes(String(id))),
        },
        { title: "a table with a composite key", config, stream: lineStream, records: orderLines, again: orderLines },
        { title: "a table without a key", config, stream: visitStream, records: visits, again: visits },
        {
          title: "a table under another name",
          config: { url, table: "public.order_lines" },
          stream: { ...lineStream, name: "lines" },
          records: orderLines,
          again: orderLines,
          discoveredAs: "order_lines",
        },
      ],
      failures: [
        {
          title: "a table that is gone",
          config: { url, table: "orders_2019" },
          stream: visitStream,
          throws: Rejected,
          message: /public\.orders_2019 .*"table".*miette discover/,
        },
        {
          title: "a column that is gone",
          config,
          stream: stream("visits", {}, { referrer: { type: "string" } }),
          throws: Rejected,
          message: /public\.visits .*"referrer".*miette discover/,
        },
        {
          title: "a wrong password",
          config: change((changed) => void (changed.password = "not-the-password")),
          stream: visitStream,
          throws: Unauthorized,
          message: /refuses the credentials/,
          secrets: ["not-the-password"],
        },
        {
          title: "a port that nobody listens on",
          config: change((changed) => void (changed.port = "1")),
          stream: visitStream,
          throws: Unavailable,
          message: /127\.0\.0\.1:1/,
          secrets: [new URL(url).password],
        },
        {
          title: "a source that hangs",
          config: { url, schema: "slow", timeout_seconds: 1 },
          stream: stream("sleepy", {}, { nap: { type: "string" } }),
          throws: Unavailable,
          message: /slow\.sleepy/,
        },
      ],
      close: () => run(`${postgresUrl}/postgres`, `drop database ${name} with (force)`),
    };
  },
};

async function run(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql);
  await client.end();
}
