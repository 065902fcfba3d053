import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StreamSchema } from "../../domain/streams.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { landIncoming, onePage, openTestVault, testPlan, testStream } from "../../test/landing.ts";
import { quoteName } from "../database.ts";
import type { Vault } from "../vault.ts";
import { landPages } from "./land.ts";
import { preparePages, type IncomingPage, type PreparedPage } from "./page.ts";
import type { StreamPlan } from "./plan.ts";
import { suppressionsOf } from "./suppressions.ts";
import { beginSync, type Sync } from "./sync.ts";

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());

const PRODUCTS: StreamSchema = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "integer" }, name: { type: ["string", "null"] }, rank: { type: "integer" } },
};

/** Begins a sync of one stream, or takes the one of this id up again. */
function begin(plan: StreamPlan, id: string): Promise<Sync> {
  return beginSync(database.pool, vault, {
    id,
    kind: "incremental",
    source: "shop",
    cursorScope: "stream",
    plans: [plan],
    window: null,
  });
}

test("a page that can't land stops the sync with its reason, whatever is read meanwhile", async () => {
  const stream = testStream(PRODUCTS);
  const reading = async function* () {
    yield { records: { [stream.name]: [{ id: 1, name: "x", rank: 1 }] }, cursor: 1 };
    yield { records: { [stream.name]: [{ id: 2, name: "x", rank: 1 }] }, cursor: 2 };
    throw new Error("the source broke off");
  };
  const [plan, id] = [testPlan(stream), randomUUID()];
  const overtaken = await begin(plan, id);
  const sync = await begin(plan, id);
  await expect(landIncoming(database.pool, vault, sync, reading())).rejects.toThrow("the source broke off");
  // Both pages before have landed, in their order.
  expect((await begin(plan, id)).cursor).toBe(2);
  await expect(landIncoming(database.pool, vault, overtaken, reading())).rejects.toMatchObject({
    code: "cursor_conflict",
  });
});

test("two attempts at one sync can't both go on: the one that was overtaken stops at its next page", async () => {
  const stream = testStream(PRODUCTS);
  const [plan, id] = [testPlan(stream), randomUUID()];
  const first = await begin(plan, id);
  const second = await begin(plan, id);
  const page = (id: number) => onePage({ records: { [stream.name]: [{ id, name: "x", rank: 1 }] }, cursor: { id } });
  await landIncoming(database.pool, vault, first, page(1));
  await expect(landIncoming(database.pool, vault, second, page(1))).rejects.toMatchObject({ code: "cursor_conflict" });
  await landIncoming(database.pool, vault, first, page(2));
  expect(first.counts.get(stream.name)).toMatchObject({ pages: 2, inserted: 2 });
});

test("an attempt that hangs in the middle of a page is ended by the next one, which would wait for its locks", async () => {
  const stream = testStream(PRODUCTS);
  const [plan, id] = [testPlan(stream), randomUUID()];
  const page = () => onePage({ records: { [stream.name]: [{ id: 1, name: "x", rank: 1 }] }, cursor: 1 });
  const hanging = await begin(plan, id);
  const held = await database.pool.connect();
  let first: Promise<void> | undefined;
  try {
    await held.query("begin");
    await held.query("lock table privacy.epoch in exclusive mode");
    first = landIncoming(database.pool, vault, hanging, page());
    first.catch(() => undefined);
    const waits = "select from pg_locks where relation = 'privacy.epoch'::regclass and not granted";
    await expect.poll(async () => (await held.query(waits)).rowCount).toBe(1);
    const next = await Promise.race([begin(plan, id), sleep(10_000)]);
    expect(next, "the next attempt has begun").toBeDefined();
    await expect(first).rejects.toThrow(/terminat/);
    await held.query("rollback");
    await landIncoming(database.pool, vault, next!, page());
    expect(next!.counts.get(stream.name)).toMatchObject({ pages: 1, inserted: 1 });
  } finally {
    held.release(true);
  }
});

test("a page that was tokenised while an erasure began is decided anew", async () => {
  const stream = testStream({
    type: "object",
    required: ["id"],
    properties: { id: { type: "integer" }, email: { type: "string", personal: "email", identifier: "email" } },
  });
  const plan = testPlan(stream);
  const sync = await begin(plan, randomUUID());
  const reading = async function* (): AsyncGenerator<IncomingPage> {
    for (const page of [1, 2, 3, 4]) {
      const records = [1, 2, 3].map((n) => ({ id: page * 10 + n, email: `p${page === 3 ? 2 : page}-${n}@mail.test` }));
      yield { records: { [stream.name]: records }, cursor: page };
    }
  };
  let landed = 0;
  const pages: PreparedPage[] = [];
  const watched = async function* (): AsyncGenerator<PreparedPage> {
    for await (const page of preparePages(vault.naming, sync, reading())) {
      pages.push(page);
      yield page;
    }
  };
  await landPages(database.pool, vault, sync, watched(), async () => {
    landed += 1;
    if (landed !== 2) return;
    // The third page is tokenised by now; the person of its second record is erased.
    while (pages[2]?.streams[0]?.ahead?.rows.length !== 3) await new Promise((resolve) => setTimeout(resolve, 5));
    const erasure = await database.pool.query<{ id: string }>(
      "insert into privacy.requests (kind, channel) values ('erasure', 'cli') returning request_id as id",
    );
    await database.pool.query("insert into privacy.suppressions (hash, request_id) select unnest($1::bytea[]), $2", [
      suppressionsOf(vault.naming, "email", "p2-2@mail.test", true),
      erasure.rows[0]?.id,
    ]);
    await database.pool.query(
      "update privacy.epoch set epoch = epoch + 1, suppressions = (select count(*) from privacy.suppressions)",
    );
  });
  const { rows } = await database.pool.query<{ id: string }>(
    `select id::int as id from ${quoteName("raw", plan.table)} where id > 30 order by id`,
  );
  expect(rows.map(({ id }) => Number(id))).toEqual([31, 33, 41, 42, 43]);
});
