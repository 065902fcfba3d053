import fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../domain/streams.ts";
import { createEmptyDatabase, type EmptyDatabase } from "../../test/empty-database.ts";
import type { Page, ReadStream, SourceRecord } from "../connector.ts";
import type { Position } from "./position.ts";
import { postgres } from "./source.ts";

let database: EmptyDatabase;
beforeAll(async () => {
  database = await createEmptyDatabase();
});
afterAll(() => database.drop());

const run = (sql: string, values?: unknown[]) => database.client.query(sql, values);
const schema = { type: "object" as const, properties: {} };

async function read(of: ReadStream, cursor: Json | null, pageSize = 1000, url = database.url): Promise<Page[]> {
  const pages: Page[] = [];
  const options = { signal: new AbortController().signal, pageSize, directory: "." };
  for await (const page of postgres.read({ url }, [of], cursor, options)) pages.push(page);
  return pages;
}

const recordsOf = (pages: Page[]): SourceRecord[] => pages.flatMap((page) => Object.values(page.records).flat());
const lastCursor = (pages: Page[], before: Json | null = null): Json | null => pages.at(-1)?.cursor ?? before;
const texts = (pages: Page[], field: string): string[] => recordsOf(pages).map((record) => String(record[field]));

/** A cursor value of each kind from a small number, so that ties are many; null stands for NULL. */
const kinds = {
  timestamptz: (n: number) => `2024-01-01 00:00:00.00000${n}+00`,
  timestamp: (n: number) => `2024-01-01 00:00:00.00000${n}`,
  date: (n: number) => `2024-01-0${n + 1}`,
  bigint: (n: number) => `${n + 9007199254740990}`,
  numeric: (n: number) => `${n}.000000000000000000001`,
  text: (n: number) => ["", "B", "a", "z", "ä", "é", "é"][n] as string,
};
const row = fc.record({
  at: fc.option(fc.integer({ min: 0, max: 6 }), { nil: null }),
  a: fc.constantFrom("x", "X", "é", "o'k", "ß", ""),
  b: fc.integer({ min: -3, max: 3 }),
});
const rows = fc.uniqueArray(row, { selector: ({ a, b }) => `${a} ${b}`, maxLength: 40 });
const kind = fc.constantFrom(...(Object.keys(kinds) as (keyof typeof kinds)[]));

async function fill(type: keyof typeof kinds, content: { at: number | null; a: string; b: number }[]): Promise<void> {
  await run(`drop table if exists ties; create table ties (at ${type}, a text, b int, primary key (a, b))`);
  for (const { at, a, b } of content) await upsert(type, { at, a, b });
}

async function upsert(
  type: keyof typeof kinds,
  { at, a, b }: { at: number | null; a: string; b: number },
): Promise<void> {
  await run("insert into ties values ($1, $2, $3) on conflict (a, b) do update set at = excluded.at", [
    at === null ? null : kinds[type](at),
    a,
    b,
  ]);
}

describe("reading by a cursor column", () => {
  it("gives every row once, in any pages, and goes on after any of them", async () => {
    const pageSize = fc.integer({ min: 1, max: 12 });
    await fc.assert(
      fc.asyncProperty(
        rows,
        kind,
        pageSize,
        pageSize,
        fc.boolean(),
        async (content, type, size, other, isIncremental) => {
          await fill(type, content);
          const of = { name: "ties", key: ["a", "b"], cursor: isIncremental ? "at" : null, schema };
          const expected = content.map(({ a, b }) => `${a} ${b}`).toSorted();
          const keysOf = (pages: Page[]) => recordsOf(pages).map(({ a, b }) => `${String(a)} ${String(b)}`);
          const pages = await read(of, null, size);
          expect(keysOf(pages).toSorted()).toEqual(expected);
          for (const page of pages) expect(page.records["ties"]?.length).toBeLessThanOrEqual(size);
          const at = pages.length >> 1;
          const stopped = pages[at];
          if (!stopped || at === pages.length - 1) return;
          const rest = await read(of, stopped.cursor, other);
          expect(keysOf([...pages.slice(0, at + 1), ...rest]).toSorted()).toEqual(expected);
          expect((lastCursor(rest) as unknown as Position).pass).toBeNull();
        },
      ),
      { numRuns: 40 },
    );
  });

  it("misses no change, however passes are cut off and taken up", async () => {
    const step = fc.record({ changes: fc.array(row, { maxLength: 6 }), stopAfter: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(rows, kind, fc.array(step, { maxLength: 5 }), async (content, type, steps) => {
        await fill(type, content);
        const of = { name: "ties", key: ["a", "b"], cursor: "at", schema };
        const landed = new Map<string, string>();
        const land = (pages: Page[]) => {
          for (const record of recordsOf(pages))
            landed.set(JSON.stringify([record["a"], record["b"]]), String(record["at"]));
        };
        let cursor: Json | null = null;
        let greatest = 0;
        for (const { changes, stopAfter } of steps) {
          const pages = (await read(of, cursor, 3)).slice(0, stopAfter);
          land(pages);
          cursor = lastCursor(pages, cursor);
          // As a change time does, a change carries the greatest value so far or a greater one, or none at all.
          for (const change of changes) {
            greatest = Math.max(greatest, change.at ?? 0, ...content.map(({ at }) => at ?? 0));
            await upsert(type, { ...change, at: change.at === null ? null : Math.min(greatest, 6) });
          }
        }
        // One pass ends what was cut off, the next reads what changed behind it.
        for (let pass = 0; pass < 2; pass++) {
          const pages = await read(of, cursor, 3);
          land(pages);
          cursor = lastCursor(pages, cursor);
        }
        const { rows: held } = await run("select a, b, at from ties");
        expect(landed.size).toBe(held.length);
        const again = recordsOf(await read(of, null)).map((record) => [
          JSON.stringify([record["a"], record["b"]]),
          String(record["at"]),
        ]);
        expect([...landed].toSorted()).toEqual(again.toSorted());
      }),
      { numRuns: 25 },
    );
  });

  it("reads rows without a cursor value every time, and else only what is new", async () => {
    await run(`create table changing (id int primary key, updated_at timestamptz);
      insert into changing select i, timestamptz '2024-01-01' + i * interval '1 microsecond' from generate_series(1, 1000) i;
      insert into changing values (2000, null)`);
    const of = { name: "changing", key: ["id"], cursor: "updated_at", schema };
    const first = await read(of, null, 100);
    expect(recordsOf(first)).toHaveLength(1001);
    const second = await read(of, lastCursor(first));
    expect(texts(second, "id")).toEqual(["2000", "1000"]);
    await run("update changing set updated_at = '2024-01-01 00:00:00.001001+00' where id in (7, 8)");
    const third = await read(of, lastCursor(second));
    expect(texts(third, "id")).toEqual(["2000", "1000", "7", "8"]);
    expect(lastCursor(third)).not.toEqual(lastCursor(second));
  });

  it("without a key reads whole ties, so that equal rows keep their count", async () => {
    await run(`create table events (at timestamptz, name text);
      insert into events values ('2024-01-01', 'view'), ('2024-01-01', 'view'), ('2024-01-02', 'view'), ('2024-01-02', 'view')`);
    const of = { name: "events", key: null, cursor: "at", schema };
    const first = await read(of, null, 3);
    expect(first.map((page) => [page.part, page.records["events"]?.length])).toEqual([
      ["events", 3],
      ["events", 1],
    ]);
    expect(recordsOf(await read(of, first[0]?.cursor ?? null))).toHaveLength(4);
    await run("insert into events values ('2024-01-02', 'view')");
    expect(recordsOf(await read(of, lastCursor(first)))).toHaveLength(3);
  });

  it("begins anew where the order has changed", async () => {
    await run(`create table reordered (id int primary key, a timestamptz, b timestamptz);
      insert into reordered select i, timestamptz '2024-01-01' + i * interval '1 day', timestamptz '2025-01-01' - i * interval '1 day' from generate_series(1, 5) i`);
    const first = await read({ name: "reordered", key: ["id"], cursor: "a", schema }, null);
    const second = await read({ name: "reordered", key: ["id"], cursor: "b", schema }, lastCursor(first));
    expect(recordsOf(second)).toHaveLength(5);
  });

  it("follows the order of a type from an extension that the search path does not show", async () => {
    await run(`create schema hidden; create extension citext schema hidden;
      create table addresses (email hidden.citext primary key);
      insert into addresses values ('a'), ('B'), ('c'), ('D')`);
    const of = { name: "addresses", key: ["email"], cursor: null, schema };
    const pages = await read(of, null, 1);
    expect(texts(pages, "email")).toEqual(["a", "B", "c", "D"]);
    for (const [index, page] of pages.slice(0, -1).entries()) {
      expect(texts(await read(of, page.cursor, 1), "email")).toEqual(["a", "B", "c", "D"].slice(index + 1));
    }
  });

  it("reads a key of bytes, fixed text, enum, composite and array", async () => {
    await run(`create type size as enum ('small', 'large'); create type pair as (x int, y text);
      create table keyed (bytes bytea, fixed char(4), size size, pair pair, list int[], primary key (bytes, fixed, size, pair, list));
      insert into keyed select decode(lpad(to_hex(i), 2, '0'), 'hex'), 'f' || i % 2, (array['small', 'large'])[1 + i % 2]::size, row(i, 'a,"b')::pair, array[i, null] from generate_series(1, 6) i;
      create view unsorted as select nullif(i, 3) as id from generate_series(1, 6) i`);
    const of = { name: "keyed", key: ["bytes", "fixed", "size", "pair", "list"], cursor: null, schema };
    const pages = await read(of, null, 1);
    expect(texts(pages, "bytes")).toEqual(["AQ==", "Ag==", "Aw==", "BA==", "BQ==", "Bg=="]);
    expect(texts(await read(of, pages[2]?.cursor ?? null), "bytes")).toEqual(["BA==", "BQ==", "Bg=="]);
    const nulls = { name: "unsorted", key: ["id"], cursor: null, schema };
    const first = await read(nulls, null, 2);
    expect(texts(first, "id")).toEqual(["1", "2", "4", "5", "6", "null"]);
    expect(texts(await read(nulls, first[1]?.cursor ?? null), "id")).toEqual(["6", "null"]);
  });
});

describe("a transaction that commits after a pass", () => {
  async function inFlight(sql: string): Promise<pg.Client> {
    const writer = new pg.Client({ connectionString: database.url });
    await writer.connect();
    await writer.query("begin");
    await writer.query(sql);
    return writer;
  }
  const commit = async (writer: pg.Client) => {
    await writer.query("commit");
    await writer.end();
  };

  it.each(["timestamptz", "timestamp"])("is not missed by a %s, nor is one that had not written yet", async (type) => {
    await run(`drop table if exists late; create table late (id int primary key, updated_at ${type} default now())`);
    await run(`insert into late values (0, now() - interval '1 day')`);
    const wrote = await inFlight("insert into late values (1)");
    const waits = await inFlight("select 1");
    const start = (await waits.query<{ at: Date }>("select now() as at")).rows[0]?.at as Date;
    // Longer than the margin for clocks, so that only the transactions' own start explains the bound.
    await run("select pg_sleep(1.5)");
    await run("insert into late values (2)");
    const of = { name: "late", key: ["id"], cursor: "updated_at", schema };
    const first = await read(of, null);
    expect(texts(first, "id")).toEqual(["0", "2"]);
    const from = new Date(`${(lastCursor(first) as unknown as Position).from?.replace("+00", "")}Z`);
    expect(start.getTime() - from.getTime()).toBeGreaterThan(9_000);
    expect(start.getTime() - from.getTime()).toBeLessThan(12_000);
    await waits.query("insert into late values (3)");
    await commit(waits);
    await commit(wrote);
    const second = await read(of, lastCursor(first));
    expect(texts(second, "id")).toEqual(expect.arrayContaining(["1", "2", "3"]));
    expect(texts(second, "id")).not.toContain("0");
  });

  it("is not missed by a sequence, and once it has ended its range is not read again", async () => {
    await run(
      "create table numbered (id bigserial primary key); insert into numbered select from generate_series(1, 3)",
    );
    const of = { name: "numbered", key: ["id"], cursor: "id", schema };
    const first = await read(of, null);
    const writer = await inFlight("insert into numbered default values");
    await run("insert into numbered default values");
    const second = await read(of, lastCursor(first));
    // Transactions of the server's other databases widen what is read again, so only what must be there is asked for.
    expect(texts(second, "id")).toEqual(expect.arrayContaining(["5"]));
    await run("insert into numbered default values");
    const third = await read(of, lastCursor(second));
    expect(texts(third, "id")).toEqual(expect.arrayContaining(["5", "6"]));
    await commit(writer);
    let next = await read(of, lastCursor(third));
    expect(texts(next, "id")).toEqual(expect.arrayContaining(["4", "5", "6"]));
    const narrowed = async (): Promise<string[]> => {
      next = await read(of, lastCursor(next));
      return texts(next, "id") as string[];
    };
    await expect.poll(narrowed, { timeout: 30_000, interval: 200 }).toEqual(["6"]);
  });

  it("of another role is reckoned with by a fixed overlap where the role may not see it", async () => {
    await run(`create role reader login password 'reader'; create table unseen (id int primary key, updated_at timestamptz);
      grant select on unseen to reader; insert into unseen values (1, now() - interval '10 minutes'), (2, now())`);
    const url = new URL(database.url);
    url.username = url.password = "reader";
    const of = { name: "unseen", key: ["id"], cursor: "updated_at", schema };
    const first = await read(of, null, 10, url.href);
    await run("insert into unseen values (3, now() - interval '4 minutes')");
    expect(texts(await read(of, lastCursor(first), 10, url.href), "id")).toEqual(["3", "2"]);
    await run("drop table unseen; drop role reader");
  });

  it("of the future hides nothing that is written until then", async () => {
    await run(`create table early (id int primary key, at timestamptz, local_at timestamp, day date);
      insert into early values (1, '2999-01-01', '2999-01-01', '2999-01-01'), (2, 'infinity', 'infinity', 'infinity')`);
    for (const cursor of ["at", "local_at", "day"]) {
      await run("delete from early where id = 3");
      const of = { name: "early", key: ["id"], cursor, schema };
      const first = await read(of, null);
      await run("insert into early values (3, now(), now(), now())");
      expect(texts(await read(of, lastCursor(first)), "id"), cursor).toEqual(["3", "1", "2"]);
    }
  });
});
