import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEmptyDatabase, type EmptyDatabase } from "../../test/empty-database.ts";
import type { DiscoveredStream } from "../connector.ts";
import { Unauthorized, Unavailable } from "../errors.ts";
import { postgres } from "./source.ts";

let database: EmptyDatabase;
beforeAll(async () => {
  database = await createEmptyDatabase();
});
afterAll(() => database.drop());

const run = (sql: string) => database.client.query(sql);

async function discover(schema: string, url = database.url): Promise<Record<string, DiscoveredStream>> {
  const { signal } = new AbortController();
  const streams = await postgres.discover({ url, schema }, { signal, directory: "." });
  return Object.fromEntries(streams.map((stream) => [stream.name, stream]));
}

describe("discovery", () => {
  it("maps types, NULLs, comments and defaults of the catalogue to a JSON Schema", async () => {
    await run(`create schema typed; set search_path = typed; create extension hstore; create extension citext;
      create type mood as enum ('sad', 'happy'); create domain price as numeric(12, 2); create domain cents as price;
      create type spot as (x int, y int);
      create table everything (
        id bigint primary key, small smallint not null, exact numeric, wide numeric(10, -2), narrow numeric(2, 5), amount numeric(12, 4) not null,
        cost cents, ratio float8, yes boolean not null, cash money, words text, short varchar(20), fixed char(3), day date not null, at timestamptz,
        local_at timestamp, clock time, span interval, bytes bytea, ref uuid, feeling mood, known_feeling mood not null, doc jsonb not null,
        numbers int[], grid numeric(6, 1)[][], names varchar(5)[] not null, spot spot, pairs hstore, nick citext, blobs bytea[], gone int
      );
      alter table everything drop column gone;
      comment on table everything is 'One of each.'; comment on column everything.small is 'A small number.'; reset search_path`);
    const { everything } = await discover("typed");
    expect(everything).toEqual({
      name: "everything",
      key: ["id"],
      cursor: null,
      schema: {
        type: "object",
        description: "One of each.",
        required: ["id", "small", "amount", "yes", "day", "known_feeling", "doc", "names"],
        properties: {
          id: { type: "integer" },
          small: { type: "integer", description: "A small number." },
          exact: { type: ["number", "null"] },
          wide: { type: ["number", "null"], decimal: [12, 0] },
          narrow: { type: ["number", "null"], decimal: [5, 5] },
          amount: { type: "number", decimal: [12, 4] },
          cost: { type: ["number", "null"], decimal: [12, 2] },
          ratio: { type: ["number", "null"] },
          yes: { type: "boolean" },
          cash: { type: ["number", "null"], decimal: [19, 2] },
          words: { type: ["string", "null"] },
          short: { type: ["string", "null"], maxLength: 20 },
          fixed: { type: ["string", "null"], maxLength: 3 },
          day: { type: "string", format: "date" },
          at: { type: ["string", "null"], format: "date-time" },
          local_at: { type: ["string", "null"], format: "date-time" },
          clock: { type: ["string", "null"] },
          span: { type: ["string", "null"] },
          bytes: { type: ["string", "null"], contentEncoding: "base64" },
          ref: { type: ["string", "null"], format: "uuid" },
          feeling: { type: ["string", "null"], enum: ["sad", "happy", null] },
          known_feeling: { type: "string", enum: ["sad", "happy"] },
          doc: { type: ["object", "array", "string", "number", "boolean", "null"] },
          numbers: { type: ["array", "null"], items: { type: ["integer", "null"] } },
          grid: {
            type: ["array", "null"],
            items: { type: "array", items: { type: ["number", "null"], decimal: [6, 1] } },
          },
          names: { type: "array", items: { type: ["string", "null"], maxLength: 5 } },
          spot: { type: ["object", "null"] },
          pairs: { type: ["object", "null"] },
          nick: { type: ["string", "null"] },
          blobs: { type: ["array", "null"], items: { type: ["string", "null"] } },
        },
      },
    });
  });

  it("takes keys from primary keys, else from unique indexes that hold every row once", async () => {
    await run(`create schema keys;
      create table keys.composite (b int, a int, note text, primary key (a, b));
      create table keys.uniquely (id int not null, code text not null, maybe text unique, unique (code) include (maybe), unique (id, code));
      create table keys.partly (id int not null, code text not null); create unique index on keys.partly (id) where code <> '';
      create unique index on keys.partly (lower(code));
      create table keys.late (id int not null, unique (id) deferrable initially deferred);
      create view keys.seen as select * from keys.composite`);
    const keys = Object.entries(await discover("keys")).map(([name, { key }]) => [name, key]);
    expect(Object.fromEntries(keys)).toEqual({
      composite: ["a", "b"],
      uniquely: ["code"],
      partly: null,
      late: null,
      seen: null,
    });
  });

  it("reads foreign keys that point at a key as references, in the order of that key", async () => {
    await run(`create schema refs;
      create table refs.regions (country text, code text, name text unique, primary key (country, code));
      create table refs.shops (id int primary key, region_code text, region_country text, region_name text references refs.regions (name),
        parent int references refs.shops, foreign key (region_code, region_country) references refs.regions (code, country));
      create table refs.visits (shop int references refs.shops, shop_id int references refs.shops, day date) partition by range (day);
      create table refs.visits_2024 partition of refs.visits for values from ('2024-01-01') to ('2025-01-01')`);
    const { shops, visits, ...others } = await discover("refs");
    expect(Object.keys(others)).toEqual(["regions"]);
    expect(shops?.schema.references).toEqual([
      { field: "parent", stream: "shops" },
      { field: ["region_country", "region_code"], stream: "regions" },
    ]);
    // Both would land as shop_record_key.
    expect(visits?.schema.references).toEqual([{ field: "shop", stream: "shops" }]);
  });

  it("proposes the time of the last change as cursor, an indexed one without NULLs first", async () => {
    await run(`create schema cursors;
      create table cursors.a (id int primary key, created_at timestamptz not null, "updatedAt" timestamptz, modified_on timestamp not null);
      create table cursors.b (id int primary key, last_update timestamp not null, updated_at timestamptz not null); create index on cursors.b (updated_at);
      create table cursors.c (id int primary key, updated_at text, created_at timestamptz, updated_by int)`);
    const { a, b, c } = await discover("cursors");
    expect([a?.cursor, b?.cursor, c?.cursor]).toEqual(["modified_on", "updated_at", null]);
  });

  it("lists a parent without its partitions, and a parent with inheriting children without a key", async () => {
    await run(`create schema families;
      create table families.parted (id int, day date, primary key (id, day)) partition by list (day);
      create table families.part partition of families.parted default;
      create table families.animals (id int primary key); create table families.birds (wings int, primary key (id)) inherits (families.animals)`);
    const { parted, animals, birds, ...others } = await discover("families");
    expect(others).toEqual({});
    expect([parted?.key, animals?.key, birds?.key]).toEqual([["id", "day"], null, ["id"]]);
    expect(animals?.schema["description"]).toContain("id may repeat");
  });

  it("names a stream after its table, in letters that a project file accepts", async () => {
    await run(`create schema names;
      create table names."Order Details" (id int primary key); create table names.order_details (id int primary key references names."Order Details");
      create table names."Überschrift" (id int); create table names."2024" (id int)`);
    const streams = await discover("names");
    expect(Object.values(streams).map(({ name, config }) => [name, config])).toEqual([
      ["table_2024", { table: "2024" }],
      ["order_details_2", { table: "Order Details" }],
      ["order_details", undefined],
      ["uberschrift", { table: "Überschrift" }],
    ]);
    expect(streams["order_details"]?.schema.references).toEqual([{ field: "id", stream: "order_details_2" }]);
  });

  it("proposes personal labels by name and by values", async () => {
    await run(`create schema people;
      create table people.contacts (id int primary key, email text, contact text, total numeric);
      insert into people.contacts select i, 'a' || i || '@shop.test', 'b' || i || '@shop.test', i from generate_series(1, 20) i;
      create view people.failing as select 1 / (id - 1) as email from people.contacts`);
    const { contacts, failing } = await discover("people");
    expect(contacts?.schema.properties["email"]).toMatchObject({ personal: "email", identifier: "email" });
    expect(contacts?.schema.properties["contact"]).toMatchObject({ personal: "email" });
    expect(contacts?.schema.properties["total"]).not.toHaveProperty("personal");
    expect(failing?.schema.properties["email"]).toMatchObject({ type: ["integer", "null"] });
  });

  it("shows only what the user may select, and tells what hinders it", async () => {
    await run(`create schema rights; create role lister login password 'lister'; grant usage on schema rights to lister;
      create table rights.open (id int primary key, secret text); grant select (id) on rights.open to lister;
      create table rights.closed (id int primary key);
      create sequence rights.numbers; create extension pg_stat_statements schema rights`);
    const url = new URL(database.url);
    url.username = url.password = "lister";
    try {
      const { open, ...others } = await discover("rights", url.href);
      expect(others).toEqual({});
      expect(Object.keys(open?.schema.properties ?? {})).toEqual(["id"]);
      url.password = "wrong";
      await expect(discover("rights", url.href)).rejects.toBeInstanceOf(Unauthorized);
      url.port = "1";
      await expect(discover("rights", url.href)).rejects.toBeInstanceOf(Unavailable);
    } finally {
      await run("drop owned by lister; drop role lister");
    }
  });
});
