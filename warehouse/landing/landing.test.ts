import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StreamSchema } from "../../domain/streams.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault, syncPages, testStream } from "../../test/landing.ts";
import { quoteName } from "../database.ts";
import type { Vault } from "../vault.ts";
import { listQuarantine, openQuarantine } from "./quarantine.ts";

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());

const products: StreamSchema = {
  type: "object",
  required: ["id"],
  properties: {
    id: { type: "integer" },
    name: { type: ["string", "null"] },
    rank: { type: "integer" },
  },
};

/** Current rows and history, without what differs from load to load. */
async function endState(name: string): Promise<unknown> {
  const read = async (table: string): Promise<unknown[]> => {
    const { rows } = await database.pool.query(
      `select id, name, rank, version, content_hash from ${quoteName("raw", table)} order by id, version nulls first, content_hash`,
    );
    return rows as unknown[];
  };
  return { current: await read(`shop__${name}`), history: await read(`shop__${name}__history`) };
}

test("records of a versioned stream end in one state, whatever their order, their pages and how often they come", async () => {
  const record = fc.record({
    id: fc.integer({ min: 1, max: 6 }),
    name: fc.constantFrom("a", "b", null),
    rank: fc.integer({ min: 1, max: 4 }),
  });
  const shuffled = fc.array(record, { minLength: 1, maxLength: 25 }).chain((records) =>
    fc.record({
      records: fc.constant(records),
      again: fc.subarray(records),
      cuts: fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 60, maxLength: 60 }),
      order: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 60, maxLength: 60 }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(shuffled, async ({ records, again, cuts, order }) => {
      const whole = testStream(products, { version: "rank" });
      await syncPages(database.pool, vault, whole, [{ records }]);
      const parts = testStream(products, { version: "rank" });
      const mixed = [...records, ...again].map((each, index) => ({ each, at: order[index] ?? 0 }));
      mixed.sort((a, b) => a.at - b.at);
      const pages: { records: Record<string, unknown>[] }[] = [];
      for (let rest = mixed.map(({ each }) => each), cut = 0; rest.length > 0; cut += 1) {
        pages.push({ records: rest.slice(0, cuts[cut]) });
        rest = rest.slice(cuts[cut]);
      }
      await syncPages(database.pool, vault, parts, pages);
      const strip = (state: unknown): unknown =>
        JSON.parse(JSON.stringify(state), (key, value: unknown) => (key === "content_hash" ? undefined : value));
      // Content hashes are keyed by schema alone, so both streams agree on them too.
      expect(await endState(parts.name)).toEqual(await endState(whole.name));
      expect(strip(await endState(parts.name))).toBeDefined();
    }),
    { numRuns: 40 },
  );
});

test("what arrives last is current where there is no version, in a first load as in every other, and the rest is history", async () => {
  const record = fc.record({
    id: fc.integer({ min: 1, max: 8 }),
    name: fc.constantFrom("a", "b"),
    rank: fc.constant(1),
  });
  const sync = fc.array(fc.array(record, { minLength: 0, maxLength: 4 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.array(sync, { minLength: 1, maxLength: 2 }), async (syncs) => {
      const stream = testStream(products);
      for (const pages of syncs) {
        const report = await syncPages(
          database.pool,
          vault,
          stream,
          pages.map((records) => ({ records })),
        );
        expect(report.rowsRead).toBe(pages.flat().length);
      }
      const expected = new Map(syncs.flat(2).map(({ id, name }) => [String(id), name]));
      const { rows } = await database.pool.query<{ id: string; name: string }>(
        `select id, name from raw.shop__${stream.name} order by id`,
      );
      expect(rows).toEqual([...expected].sort().map(([id, name]) => ({ id, name })));
      const seen = new Map<string, Set<string>>();
      for (const { id, name } of syncs.flat(2)) seen.set(String(id), (seen.get(String(id)) ?? new Set()).add(name));
      const { rows: versions } = await database.pool.query<{ id: string; names: number }>(
        `select id, count(distinct name)::int as names from (select id, name from raw.shop__${stream.name}
           union all select id, name from raw.shop__${stream.name}__history) as every group by id order by id`,
      );
      expect(versions).toEqual([...seen].sort().map(([id, names]) => ({ id, names: names.size })));
    }),
    { numRuns: 30 },
  );
});

test("a second sync of the same records writes no row", async () => {
  const stream = testStream(products, { version: "rank" });
  const records = Array.from({ length: 500 }, (_, index) => ({ id: index, name: `n${index}`, rank: 1 }));
  expect(await syncPages(database.pool, vault, stream, [{ records }])).toMatchObject({ inserted: 500, updated: 0 });
  const { rows: before } = await database.pool.query(
    `select max(landed_xid::text::bigint) as xid from raw.shop__${stream.name}`,
  );
  expect(await syncPages(database.pool, vault, stream, [{ records }])).toMatchObject({
    inserted: 0,
    updated: 0,
    unchanged: 500,
  });
  const { rows: after } = await database.pool.query(
    `select max(landed_xid::text::bigint) as xid from raw.shop__${stream.name}`,
  );
  expect(after).toEqual(before);
});

test("without a version the last arrival is current and the earlier one goes to history", async () => {
  const stream = testStream(products);
  await syncPages(database.pool, vault, stream, [
    {
      records: [
        { id: 1, name: "old", rank: 9 },
        { id: 1, name: "new", rank: 1 },
      ],
    },
  ]);
  await syncPages(database.pool, vault, stream, [{ records: [{ id: 1, name: "newest", rank: 0 }] }]);
  expect(await endState(stream.name)).toMatchObject({
    current: [{ name: "newest" }],
    history: expect.toSatisfy(
      (rows: { name: string }[]) =>
        rows
          .map(({ name }) => name)
          .toSorted()
          .join() === "new,old",
    ),
  });
});

test("a snapshot marks deleted what it no longer holds, and an empty or sharply smaller one deletes nothing and says so", async () => {
  const stream = testStream(products, { mode: "snapshot" });
  const records = Array.from({ length: 10 }, (_, id) => ({ id, name: "x", rank: 1 }));
  const live = async (): Promise<number> => {
    const { rows } = await database.pool.query(
      `select count(*)::int as live from raw.shop__${stream.name} where deleted_at is null`,
    );
    return (rows[0] as { live: number }).live;
  };
  await syncPages(database.pool, vault, stream, [{ records }]);
  expect(await syncPages(database.pool, vault, stream, [{ records: records.slice(1) }])).toMatchObject({
    deleted: 1,
    notice: null,
  });
  expect(await live()).toBe(9);
  expect(await syncPages(database.pool, vault, stream, [{ records: records.slice(1, 3) }])).toMatchObject({
    deleted: 0,
    notice: expect.stringContaining("2 of 9"),
  });
  expect(await syncPages(database.pool, vault, stream, [{ records: [] }])).toMatchObject({
    deleted: 0,
    notice: expect.stringContaining("0 of 9"),
  });
  expect(await syncPages(database.pool, vault, stream, [{ records }])).toMatchObject({ updated: 1, unchanged: 9 });
  expect(await live()).toBe(10);
});

test("a rejected record of a snapshot is not taken for gone", async () => {
  const stream = testStream(products, { mode: "snapshot" });
  const records = [
    { id: 1, name: "x", rank: 1 },
    { id: 2, name: "y", rank: 1 },
  ];
  await syncPages(database.pool, vault, stream, [{ records }]);
  expect(
    await syncPages(database.pool, vault, stream, [
      { records: [{ id: 1, name: "x", rank: "no number" }, records[1] ?? {}] },
    ]),
  ).toMatchObject({ deleted: 0, rejected: 1 });
});

test("equal records without a key are all kept, once each, however often their file is read", async () => {
  const stream = testStream(products, { mode: "append", key: null });
  const twin = { id: 1, name: "twin", rank: 1 };
  const file = { part: "a.csv", records: [twin, twin, { id: 2, name: "other", rank: 1 }, twin] };
  expect(await syncPages(database.pool, vault, stream, [file])).toMatchObject({ inserted: 4 });
  expect(await syncPages(database.pool, vault, stream, [file])).toMatchObject({ inserted: 0, unchanged: 4 });
  expect(await syncPages(database.pool, vault, stream, [{ ...file, part: "b.csv" }])).toMatchObject({ inserted: 4 });
});

test("a record nested too deep is kept in quarantine as it came", async () => {
  const stream = testStream({ ...products, properties: { ...products.properties, tree: { type: "object" } } });
  const tree = JSON.parse(`${'{"a":'.repeat(300)}1${"}".repeat(300)}`) as unknown;
  const report = await syncPages(database.pool, vault, stream, [{ records: [{ id: 1, name: "x", rank: 1, tree }] }]);
  expect(report).toMatchObject({ inserted: 0, rejected: 1 });
  const [kept] = await openQuarantine(database.pool, vault, { source: "shop", stream: stream.name, limit: 1 });
  expect(kept?.reason).toBe("nested_too_deep");
  expect(JSON.parse(kept?.received ?? "null")).toEqual({ id: 1, name: "x", rank: 1, tree });
});

test("a sync stops before its cursor moves when too many records break the schema, and keeps them in quarantine", async () => {
  const stream = testStream(products);
  const good = Array.from({ length: 990 }, (_, id) => ({ id, name: "x", rank: 1 }));
  const bad = Array.from({ length: 20 }, (_, id) => ({ id: id + 2000, name: "x", rank: `bad ${id}` }));
  await expect(syncPages(database.pool, vault, stream, [{ records: good }, { records: bad }])).rejects.toMatchObject({
    code: "too_many_rejects",
  });
  const { rows } = await database.pool.query("select position from ops.cursors where stream = $1", [stream.name]);
  expect(rows).toEqual([{ position: "1" }]);
  expect((await listQuarantine(database.pool)).find((row) => row.stream === stream.name)).toMatchObject({
    records: 20,
  });
});

test("NUL characters, lone surrogates, megabyte values, far dates and NaN are carried or quarantined", async () => {
  const stream = testStream({
    type: "object",
    properties: {
      id: { type: "integer" },
      open: { type: ["string", "null"] },
      secret: { type: ["string", "null"], personal: "free_text" },
      at: { type: ["string", "null"], format: "date-time" },
      amount: { type: ["number", "null"] },
      nested: { type: ["object", "null"] },
    },
  });
  const large = "é\t\\\n".repeat(250_000);
  const records = [
    { id: 1, open: "a\0b" },
    { id: 2, open: "\ud800" },
    { id: 3, secret: "a\0b\ud800" },
    { id: 4, open: large, secret: large },
    { id: 5, at: "294277-01-01T00:00:00Z" },
    { id: 6, at: "infinity" },
    { id: 7, amount: Number.NaN },
    { id: 8, nested: { a: "\0" } },
    { id: 9, at: "2024-06-30T23:59:58.1234567Z", amount: 1e300 },
  ];
  expect(await syncPages(database.pool, vault, stream, [{ records }])).toMatchObject({ inserted: 3, rejected: 6 });
  const { rows } = await database.pool.query(
    `select id, md5(open) as open, at from raw.shop__${stream.name} order by id`,
  );
  expect(rows).toMatchObject([{ id: "3" }, { id: "4" }, { id: "9", at: "2024-06-30 23:59:58.123457+00" }]);
  const { createHash } = await import("node:crypto");
  expect((rows as { open: string }[])[1]?.open).toBe(createHash("md5").update(large).digest("hex"));
});

test("a field declared later becomes a column, and one declared personal later is emptied where it was open", async () => {
  const stream = testStream(products);
  await syncPages(database.pool, vault, stream, [{ records: [{ id: 1, name: "Ann", rank: 1, size: "L" }] }]);
  const { rows: fields } = await database.pool.query(
    "select field, records from ops.undeclared_fields where stream = $1",
    [stream.name],
  );
  expect(fields).toEqual([{ field: "size", records: "1" }]);
  stream.schema = {
    ...products,
    properties: {
      ...products.properties,
      name: { type: ["string", "null"], personal: "name" },
      size: { type: ["string", "null"] },
    },
  };
  await syncPages(database.pool, vault, stream, [{ records: [{ id: 2, name: "Bob", rank: 1, size: "M" }] }]);
  const { rows } = await database.pool.query(`select id, name, size from raw.shop__${stream.name} order by id`);
  expect(rows).toEqual([
    { id: "1", name: null, size: null },
    { id: "2", name: null, size: "M" },
  ]);
  await syncPages(database.pool, vault, stream, [{ records: [{ id: 1, name: "Ann", rank: 1, size: "L" }] }]);
  const { rows: again } = await database.pool.query(`select id, size from raw.shop__${stream.name} order by id`);
  expect(again).toEqual([
    { id: "1", size: "L" },
    { id: "2", size: "M" },
  ]);
});

test("fields of 9 MB land as they are, sealed or open, and in quarantine, with addresses found in them", async () => {
  const stream = testStream(
    {
      type: "object",
      required: ["id"],
      properties: {
        id: { type: "integer" },
        note: { type: ["string", "null"] },
        tree: { type: ["object", "null"] },
        diary: { type: ["string", "null"], personal: "free_text" },
      },
    },
    { rejectLimit: 1 },
  );
  const long = "Zoë ".repeat(9 << 18);
  const pages = [
    {
      records: [
        { id: 1, note: `${long}a@b.example` },
        { id: 2, tree: { long } },
      ],
    },
    { records: [{ id: 3, diary: long, undeclared: long }] },
    { records: [{ id: "x", note: long }] },
  ];
  const report = await syncPages(database.pool, vault, stream, pages);
  expect(report).toMatchObject({ inserted: 3, rejected: 1 });
  const token = vault.naming.token("email", "a@b.example");
  const { rows } = await database.pool.query(
    `select note = $1 || $2 as note, tree ->> 'long' = $1 as tree, octet_length(sealed) > $3 as sealed
     from raw.shop__${stream.name} order by id`,
    [long, token, 2 * Buffer.byteLength(long)],
  );
  expect(rows).toMatchObject([{ note: true }, { tree: true }, { note: null, tree: null, sealed: true }]);
  const again = await syncPages(database.pool, vault, stream, pages.slice(0, 2));
  expect(again).toMatchObject({ inserted: 0, unchanged: 3 });
  const [kept] = await openQuarantine(database.pool, vault, { source: "shop", stream: stream.name, limit: 1 });
  expect(JSON.stringify(kept)).toContain(long);
});

test("a stream of one text keeps every text as it is, the empty one and those of signs that COPY knows too", async () => {
  const schema: StreamSchema = { type: "object", properties: { note: { type: ["string", "null"] } } };
  const stream = testStream(schema, { key: null, mode: "append" });
  const notes = ["", "\\N", "a\tb", "line\nfeed\r", "back\\slash", "\\.", null];
  // Twice, since a first page and those after it are written in two ways.
  const pages = [notes, notes.map((note) => `${note} again`)].map((each, page) => ({
    part: `${page}`,
    records: each.map((note) => ({ note })),
  }));
  await syncPages(database.pool, vault, stream, pages);
  const { rows } = await database.pool.query<{ note: string | null }>(`select note from raw.shop__${stream.name}`);
  const sorted = (texts: (string | null)[]): string[] => texts.map((text) => JSON.stringify(text)).toSorted();
  expect(sorted(rows.map(({ note }) => note))).toEqual(
    sorted(pages.flatMap(({ records }) => records.map(({ note }) => note))),
  );
});
