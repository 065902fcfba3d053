import { existsSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DecimalText } from "../../domain/decimal.ts";
import type { FieldSchema, Json } from "../../domain/streams.ts";
import { createEmptyDatabase, type EmptyDatabase } from "../../test/empty-database.ts";
import { restoreSqlFile } from "../../test/restore.ts";
import type { Page, ReadOptions, ReadStream, SourceRecord } from "../connector.ts";
import { postgres } from "./source.ts";

let database: EmptyDatabase;
beforeAll(async () => {
  database = await createEmptyDatabase();
});
afterAll(() => database.drop());

function stream(name: string, options: Partial<ReadStream> & { fields?: string[] } = {}): ReadStream {
  const { fields = [], key = null, cursor = null } = options;
  const properties = Object.fromEntries(fields.map((field): [string, FieldSchema] => [field, { type: "string" }]));
  return { name, key, cursor, schema: { type: "object", properties } };
}

async function readPages(
  of: ReadStream,
  cursor: Json | null = null,
  options: Partial<ReadOptions> & { table?: string; url?: string } = {},
): Promise<Page[]> {
  const { table, url = database.url, ...read } = options;
  const pages: Page[] = [];
  const all = { signal: new AbortController().signal, pageSize: 1000, directory: ".", ...read };
  for await (const page of postgres.read({ url, ...(table ? { table } : {}) }, [of], cursor, all)) pages.push(page);
  return pages;
}

const recordsOf = (pages: Page[]): SourceRecord[] => pages.flatMap((page) => Object.values(page.records).flat());
const run = (sql: string) => database.client.query(sql);

describe("values", () => {
  it("arrive without loss, each in the text that a JSON Schema understands", async () => {
    await run(`
      create extension hstore;
      create type mood as enum ('so-so', 'très bien');
      create domain price as numeric(12, 4) check (value >= 0);
      create domain tags as text[];
      create type point_of_sale as (city text, number bigint);
      create table torture (
        small int2, big int8, exact numeric, priced price, single float4, double float8, yes bool, amount money,
        words text, fixed char(6), short varchar(20), day date, at timestamptz, local_at timestamp, clock time,
        zoned_clock timetz, span interval, bytes bytea, id uuid, feeling mood, doc jsonb, plain_doc json,
        numbers numeric[], days date[], grid int[][], labels tags, feelings mood[], place point_of_sale, places point_of_sale[],
        pairs hstore, host inet, range int4range, bits varbit, markup xml, dot point, position pg_lsn
      );
      insert into torture values (
        -32768, 9223372036854775807, '12345678901234567890.0987654321', 10.5, '1.1', '0.1', true, '1234.5',
        E'tab\\t"quotes" \\\\ 👩‍👧', 'ab', 'née', '2024-02-29', '2024-01-02 03:04:05.123456+02', '2024-01-02 03:04:05.000001', '03:04:05.5',
        '03:04:05+02', '1 year 2 months 3 days 04:05:06.7', '\\x00ff10', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'très bien',
        '{"n": 12345678901234567890.5, "a": [1, null]}', '[1, "x"]',
        '{1.10, 12345678901234567890.1, null}', '{2024-02-29}', '{{1,2},{3,4}}', '{"a,b","c\\"d"}', '{so-so}', row('Lyon', 12345678901234567), array[row('Lyon', 1)::point_of_sale],
        'a=>1, b=>null', '10.0.0.1/8', '[1,5)', b'101', '<a>&amp;</a>', '(1,2)', '16/B374D848'
      );`);
    const [record] = recordsOf(await readPages(stream("torture")));
    expect(record).toEqual({
      small: "-32768",
      big: "9223372036854775807",
      exact: "12345678901234567890.0987654321",
      priced: "10.5000",
      single: "1.1",
      double: "0.1",
      yes: "true",
      amount: "1234.50",
      words: 'tab\t"quotes" \\ 👩‍👧',
      fixed: "ab",
      short: "née",
      day: "2024-02-29",
      at: "2024-01-02T01:04:05.123456Z",
      local_at: "2024-01-02T03:04:05.000001Z",
      clock: "03:04:05.5",
      zoned_clock: "03:04:05+02",
      span: "P1Y2M3DT4H5M6.7S",
      bytes: "AP8Q",
      id: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
      feeling: "très bien",
      doc: { n: new DecimalText("12345678901234567890.5"), a: [1, null] },
      plain_doc: [1, "x"],
      numbers: [1.1, new DecimalText("12345678901234567890.1"), null],
      days: ["2024-02-29"],
      grid: [
        [1, 2],
        [3, 4],
      ],
      labels: ["a,b", 'c"d'],
      feelings: ["so-so"],
      place: { city: "Lyon", number: new DecimalText("12345678901234567") },
      places: [{ city: "Lyon", number: 1 }],
      pairs: { a: "1", b: null },
      host: "10.0.0.1/8",
      range: "[1,5)",
      bits: "101",
      markup: "<a>&amp;</a>",
      dot: "(1,2)",
      position: "16/B374D848",
    });
  });

  it("that no JSON type can hold keep Postgres's own text, so that the landing can refuse them", async () => {
    await run(`create table far (at timestamptz, day date, n numeric, f float8);
      insert into far values ('infinity', '-infinity', 'NaN', '-Infinity'), ('0044-03-15 12:00:00+00 BC', '0044-03-15 BC', null, 'NaN'),
        ('10000-01-01 00:00:00+00', '10000-01-01', 'Infinity', '1e300')`);
    expect(recordsOf(await readPages(stream("far")))).toEqual([
      { at: "infinity", day: "-infinity", n: "NaN", f: "-Infinity" },
      { at: "0044-03-15 12:00:00+00 BC", day: "0044-03-15 BC", n: null, f: "NaN" },
      { at: "10000-01-01T00:00:00Z", day: "10000-01-01", n: "Infinity", f: "1e+300" },
    ]);
  });

  it("do not depend on the settings of the role that reads", async () => {
    const name = new URL(database.url).pathname.slice(1);
    await run(`create table settings (at timestamptz, day date, f float8, b bytea, span interval);
      insert into settings values ('2024-01-02 03:04:05.5+00', '2024-01-02', 0.1, '\\x01', '1 day');
      alter role postgres in database ${name} set timezone = 'America/New_York';
      alter role postgres in database ${name} set datestyle = 'SQL, DMY';
      alter role postgres in database ${name} set intervalstyle = 'sql_standard';
      alter role postgres in database ${name} set bytea_output = 'escape';
      alter role postgres in database ${name} set extra_float_digits = 0`);
    expect(recordsOf(await readPages(stream("settings")))).toEqual([
      { at: "2024-01-02T03:04:05.5Z", day: "2024-01-02", f: "0.1", b: "AQ==", span: "P1D" },
    ]);
    await run(`alter role postgres in database ${name} reset all`);
  });

  it("of columns with any name arrive under that name", async () => {
    await run(`create schema "Weird Schema";
      create table "Weird Schema"."order ""Details"".x" ("select" int primary key, "a b" text, "Ünïcode" text, "__proto__" text, "x'y" text, "$1" text);
      insert into "Weird Schema"."order ""Details"".x" values (1, 'b', 'c', 'd', 'e', 'f'), (2, null, null, null, null, null)`);
    const of = stream("order_details", { key: ["select"], fields: ["a b", "__proto__"] });
    const [record] = recordsOf(await readPages(of, null, { table: 'Weird Schema.order "Details".x', pageSize: 1 }));
    expect(Object.entries(record as SourceRecord)).toEqual([
      ["select", "1"],
      ["a b", "b"],
      ["Ünïcode", "c"],
      ["__proto__", "d"],
      ["x'y", "e"],
      ["$1", "f"],
    ]);
  });
});

describe("relations", () => {
  it("may be views, materialised views, partitioned and foreign tables", async () => {
    const { port, password } = new URL(database.url);
    const name = new URL(database.url).pathname.slice(1);
    await run(`create table plain (id int primary key, name text);
      insert into plain select i, 'n' || i from generate_series(1, 5) i;
      create view seen as select * from plain where id > 2;
      create materialized view kept as select * from plain;
      create table parted (id int, day date, primary key (id, day)) partition by range (day);
      create table parted_2024 partition of parted for values from ('2024-01-01') to ('2025-01-01');
      create table parted_rest partition of parted default;
      insert into parted select i, date '2023-12-30' + i from generate_series(1, 5) i;
      create extension postgres_fdw;
      create server self foreign data wrapper postgres_fdw options (host '127.0.0.1', port '${port}', dbname '${name}');
      create user mapping for postgres server self options (user 'postgres', password '${password}');
      create foreign table elsewhere (id int, name text) server self options (table_name 'plain');`);
    const ids = async (of: ReadStream) => recordsOf(await readPages(of, null, { pageSize: 2 })).map(({ id }) => id);
    expect(await ids(stream("seen", { key: ["id"] }))).toEqual(["3", "4", "5"]);
    expect((await ids(stream("kept"))).toSorted()).toEqual(["1", "2", "3", "4", "5"]);
    expect(await ids(stream("parted", { key: ["id", "day"] }))).toEqual(["1", "2", "3", "4", "5"]);
    expect(await ids(stream("elsewhere", { key: ["id"] }))).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("a parent holds its children's rows, and each of several rows with one key is read", async () => {
    await run(`create table animals (id int primary key, name text);
      create table birds (wings int, primary key (id)) inherits (animals);
      insert into animals select i, 'animal' from generate_series(1, 4) i;
      insert into birds select i, 'bird', 2 from generate_series(2, 5) i;`);
    const of = stream("animals", { key: ["id"] });
    const pages = await readPages(of, null, { pageSize: 2 });
    expect(recordsOf(pages).map(({ id }) => id)).toEqual(["1", "2", "2", "3", "3", "4", "4", "5"]);
    for (const [index, page] of pages.entries()) {
      if (index === pages.length - 1) continue;
      const read = [...pages.slice(0, index + 1), ...(await readPages(of, page.cursor, { pageSize: 2 }))];
      const names = new Set(recordsOf(read).map(({ id, name }) => `${id} ${name}`));
      expect(names.size).toBe(8);
    }
  });

  it("a column that is new in the table is read although the schema does not know it", async () => {
    await run("create table growing (id int primary key); insert into growing values (1)");
    await run("alter table growing add column nickname text default 'new'");
    expect(recordsOf(await readPages(stream("growing", { key: ["id"], fields: ["id"] })))).toEqual([
      { id: "1", nickname: "new" },
    ]);
  });

  it("without a key are one part, which a cursor from its middle reads from the start", async () => {
    await run("create table log (line text); insert into log select 'same' from generate_series(1, 5)");
    const pages = await readPages(stream("log"), null, { pageSize: 2 });
    expect(pages.map((page) => [page.part, page.records["log"]?.length])).toEqual([
      ["log", 2],
      ["log", 2],
      ["log", 1],
    ]);
    expect(recordsOf(await readPages(stream("log"), pages[1]?.cursor ?? null))).toHaveLength(5);
  });

  it("of 50,000 wide rows come in bounded pages and in bounded memory", async () => {
    await run(`create table wide (id int primary key, body text);
      insert into wide select i, repeat(md5(i::text), case when i > 49900 then 32768 else 4 end) from generate_series(1, 50000) i`);
    const before = process.memoryUsage.rss();
    let count = 0;
    let widest = 0;
    let peak = 0;
    const options = { signal: new AbortController().signal, pageSize: 20_000, directory: "." };
    const config = { url: database.url };
    for await (const page of postgres.read(config, [stream("wide", { key: ["id"] })], null, options)) {
      const records = page.records["wide"] ?? [];
      count += records.length;
      widest = Math.max(
        widest,
        records.reduce((sum, { body }) => sum + String(body).length, 0),
      );
      peak = Math.max(peak, process.memoryUsage.rss() - before);
    }
    expect(count).toBe(50_000);
    expect(widest).toBeLessThan(12 * 1024 * 1024);
    // The table holds 111 MB of text, the last hundred rows 1 MB each.
    expect(peak).toBeLessThan(400 * 1024 * 1024);
  });
});

describe("windows", () => {
  it("are cut by the source, from inclusive, to exclusive, in UTC", async () => {
    await run(`create table visits (id int primary key, at timestamptz, local_at timestamp, day date, said text);
      insert into visits select i, t, t at time zone 'UTC', (t at time zone 'UTC')::date, t::text
      from generate_series(1, 4) i, lateral (select timestamptz '2024-01-01 00:00:00+00' + (i - 1) * interval '12 hours' as t) as times;
      insert into visits values (5)`);
    const ids = async (field: string, from?: string, to?: string) => {
      const window = { field, ...(from ? { from } : {}), ...(to ? { to } : {}) };
      return recordsOf(await readPages(stream("visits", { key: ["id"] }), null, { window }))
        .map(({ id }) => id)
        .join("");
    };
    for (const field of ["at", "local_at"]) {
      expect(await ids(field, "2024-01-01T12:00:00Z", "2024-01-02T12:00:00.000Z")).toBe("23");
      expect(await ids(field, "2024-01-01T13:00:00+01:00")).toBe("234");
      expect(await ids(field, undefined, "2024-01-02")).toBe("12");
    }
    expect(await ids("day", "2024-01-02", "2024-01-03")).toBe("34");
    expect(await ids("said", "2024-01-02", "2024-01-03")).toBe("12345");
  });
});

const shared = process.env["MIETTE_SHARED_DATA"] ?? join(import.meta.dirname, "../../../shared/data");
describe.skipIf(!existsSync(shared))("real databases (skipped where the shared test data is absent)", () => {
  it.each(["northwind/northwind.sql", "chinook/Chinook_PostgreSql.sql"])(
    "%s is found and read totally",
    async (file) => {
      const source = await createEmptyDatabase();
      try {
        await restoreSqlFile(source.url, join(shared, file));
        const { signal } = new AbortController();
        const streams = await postgres.discover({ url: source.url }, { signal, directory: "." });
        const { rows: tables } = await source.client.query<{ name: string; keys: string }>(
          `select c.relname as name,
           (select count(*) from pg_constraint k where k.conrelid = c.oid and k.contype = 'f')::text as keys
         from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1`,
        );
        expect(tables.length).toBeGreaterThan(10);
        expect(streams.map(({ name }) => name)).toEqual(tables.map(({ name }) => name));
        for (const [index, found] of streams.entries()) {
          expect(found.key, found.name).not.toBeNull();
          expect(found.schema.references?.length ?? 0, found.name).toBe(Number(tables[index]?.keys));
          const records = recordsOf(await readPages(found, null, { url: source.url, pageSize: 100 }));
          const { rows } = await source.client.query(
            `select count(*)::int as n from ${pg.escapeIdentifier(found.name)}`,
          );
          expect(records.length, found.name).toBe(rows[0].n);
          const keys = new Set(records.map((record) => JSON.stringify(found.key?.map((field) => record[field]))));
          expect(keys.size, found.name).toBe(records.length);
        }
      } finally {
        await source.drop();
      }
    },
  );
});
