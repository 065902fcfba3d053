import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { copyIn, copyOut } from "./binary-copy.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const UUID = "0189abcd-0000-4000-8000-0123456789ab";
const TEXTS = ["", "é\t\\N\n", "x".repeat(1_000_000), null];

test("rows of every size and NULLs go in and come out as they were", async () => {
  const client = await database.pool.connect();
  await client.query("begin");
  await client.query("create table core.things (i integer, id uuid, t text, b boolean, n bigint)");
  await copyIn(client, "core.things", 20_000, (rows, i) => {
    const text = i % 5_000 < TEXTS.length ? TEXTS[i % 5_000]! : `value ${i}`;
    rows.row(5);
    rows.integer(i);
    rows.bytes(Buffer.from(UUID.replaceAll("-", ""), "hex"));
    rows.bytes(text === null ? null : Buffer.from(text));
    rows.boolean(i % 2 === 1);
    rows.bigint(-i * 2 ** 32);
  });
  const { rows } = await client.query(
    `select count(*)::int as rows, count(distinct i)::int as distinct, count(t)::int as texts,
       count(*) filter (where id = '${UUID}' and b = (i % 2 = 1) and n = -i * 2::bigint ^ 32)::int as right,
       count(*) filter (where t = $1)::int as odd, max(length(t)) as longest
     from core.things`,
    [TEXTS[1]],
  );
  expect(rows).toEqual([{ rows: 20_000, distinct: 20_000, texts: 19_996, right: 20_000, odd: 4, longest: 1_000_000 }]);

  const texts: (string | null)[] = [];
  const count = await copyOut(client, "select t, id, i from core.things order by i", ({ buffer, starts, ends }) => {
    texts.push(ends[0] === -1 ? null : buffer.toString("utf8", starts[0], ends[0]));
    expect(buffer.readInt32BE(starts[2])).toBe(texts.length - 1);
  });
  expect(count).toBe(20_000);
  expect(texts.slice(5_000, 5_005)).toEqual([...TEXTS, "value 5004"]);
  await client.query("rollback");
  client.release();
});

test("an error while rows are made leaves the connection usable and nothing behind", async () => {
  const client = await database.pool.connect();
  await client.query("begin");
  await client.query("create table core.numbers (i integer)");
  const failing = copyIn(client, "core.numbers", 100_000, (rows, i) => {
    if (i === 90_000) throw new Error("no more");
    rows.row(1);
    rows.integer(i);
  });
  await expect(failing).rejects.toThrow("no more");
  await client.query("rollback");
  expect((await client.query("select to_regclass('core.numbers') as numbers")).rows).toEqual([{ numbers: null }]);
  client.release();
});
