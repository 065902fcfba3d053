import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { open } from "../../privacy/sealing.ts";
import type { Stream, StreamSchema } from "../../domain/streams.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { landIncoming, onePage, openTestVault, syncPages, testPlan, testStream } from "../../test/landing.ts";
import { inTransaction, quoteName } from "../database.ts";
import type { Vault } from "../vault.ts";
import { reprocessBatch, type ReprocessedRows } from "./reprocess.ts";
import { sampleUndeclared } from "./sample-undeclared.ts";
import { rowIdentity } from "./seal.ts";
import { beginSync } from "./sync.ts";
import { runningReprocessings } from "../status.ts";
import { followSchema } from "./table.ts";

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());

const BEFORE: StreamSchema = {
  type: "object",
  required: ["id"],
  properties: {
    id: { type: "integer", personal: "account_id", identifier: "customer_id" },
    email: { type: ["string", "null"], personal: "email", identifier: "email" },
    full_name: { type: ["string", "null"], personal: "name" },
    born: { type: ["string", "null"], format: "date", personal: "birth_date" },
    rank: { type: "integer" },
  },
};
const AFTER: StreamSchema = {
  ...BEFORE,
  properties: {
    ...BEFORE.properties,
    email: { type: ["string", "null"], personal: "email", identifier: "email", keep: ["domain"] },
    born: { type: ["string", "null"], format: "date", personal: "birth_date", keep: ["year"] },
    tier: { type: ["string", "null"] },
    phone: { type: ["string", "null"], personal: "phone", identifier: "phone", keep: ["country"] },
    points: { type: ["integer", "null"] },
  },
  match_keys: { name_birth: ["full_name", "born"], mailbox: ["email"] },
};

const person = (id: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  id,
  email: `J.ane.${id}+x@gmail.com`,
  full_name: `Jane ${id}`,
  born: "1984-02-29",
  rank: 1,
  tier: "gold",
  phone: "06 39 98 12 34",
  points: id,
  shoe: 42,
  ...more,
});

async function reprocessAll(stream: Stream): Promise<ReprocessedRows | null> {
  const plan = testPlan(stream, { kinds: ["phone", "customer_id", "email"] });
  await inTransaction(database.pool, (client) => followSchema(client, plan));
  let last: ReprocessedRows | null = null;
  for (let done = await reprocessBatch(database.pool, vault, plan); done;) {
    last = done;
    done = await reprocessBatch(database.pool, vault, plan);
  }
  return last;
}

interface Row {
  record_key: string;
  content_hash: string;
  owner_token: string | null;
  sealed: Buffer | null;
  [column: string]: unknown;
}

async function rowsOf(stream: Stream, suffix = ""): Promise<Row[]> {
  const { rows } = await database.pool.query<Row>(
    `select * from ${quoteName("raw", `shop__${stream.name}${suffix}`)} order by rank, record_key`,
  );
  return rows;
}

async function secretOf(stream: Stream, row: Row, identity?: string): Promise<unknown> {
  const opened = await inTransaction(database.pool, (client) =>
    vault.openIdentifiers(client, row.owner_token === null ? [] : [row.owner_token]),
  );
  const key =
    row.owner_token === null
      ? await vault.purposeKey(database.pool, `stream:shop.${stream.name}`)
      : opened.get(row.owner_token)?.key;
  const bound = identity ?? rowIdentity(`shop__${stream.name}`, row.record_key, row.content_hash);
  return JSON.parse(open(key as Buffer, bound, row.sealed as Buffer).toString("utf8"));
}

describe("after a schema has changed, the rows that landed before", () => {
  test("stay as they are where nothing of them has changed, whatever their JSON looks like", async () => {
    const schema: StreamSchema = {
      type: "object",
      required: ["id"],
      properties: { id: { type: "integer" }, more: { type: "object" } },
    };
    const stream = testStream(schema);
    const more = [
      { b: 1, a: "x" },
      { phone_ok: true, a: 1 },
      { z: { telephone: "none" }, a: [1.5] },
    ];
    await syncPages(database.pool, vault, stream, [
      { records: more.map((each, id) => ({ id, more: each, ...(id === 0 ? { tier: "gold" } : {}) })) },
    ]);
    const declared = {
      ...stream,
      schema: {
        ...schema,
        properties: { ...schema.properties, tier: { type: ["string", "null"] as ["string", "null"] } },
      },
    };
    expect(await reprocessAll(declared)).toMatchObject({ rowsRead: 3, rowsChanged: 1 });
  });

  test("are what they would be, had they landed under it", async () => {
    const stream = testStream(BEFORE);
    const records = [person(1), person(2, { tier: null, phone: "none", email: null }), person(3, { points: "many" })];
    await syncPages(database.pool, vault, stream, [{ records }]);
    await syncPages(database.pool, vault, stream, [{ records: [person(1, { rank: 2, tier: "silver" })] }]);
    const changed = { ...stream, schema: AFTER };
    expect(await reprocessAll(changed)).toEqual({ rowsRead: 4, rowsChanged: 4, valuesRefused: 1 });

    const twin = testStream(AFTER);
    await syncPages(
      database.pool,
      vault,
      twin,
      [{ records: [person(2, { tier: null, phone: "none", email: null })] }],
      {
        kinds: ["phone", "customer_id", "email"],
      },
    );
    await syncPages(database.pool, vault, twin, [{ records: [person(1, { rank: 2, tier: "silver" })] }], {
      kinds: ["phone", "customer_id", "email"],
    });
    const rows = await rowsOf(changed);
    const one = rows.find(({ points }) => points === "1");
    const three = rows.find(({ points }) => points === null);
    expect(one).toMatchObject({
      tier: "silver",
      points: "1",
      phone: vault.naming.token("phone", "+33639981234"),
      phone_country: "FR",
      email_domain: "gmail.com",
      born_year: 1984,
      owner_token: vault.naming.token("phone", "+33639981234"),
      mailbox: vault.naming.token("mailbox", "jane1@gmail.com"),
      name_birth: vault.naming.token("name_birth", ["jane1", "19840229"].join("\0")),
    });
    const own = ({
      id,
      email,
      email_domain,
      full_name,
      born_year,
      tier,
      phone,
      points,
      name_birth,
      mailbox,
    }: Row): unknown => ({ id, email, email_domain, full_name, born_year, tier, phone, points, name_birth, mailbox });
    const twins = await rowsOf(twin);
    for (const each of twins) expect(rows.map(own)).toContainEqual(own(each));
    expect(await secretOf(changed, one as Row)).toEqual({
      personal: { full_name: "Jane 1", born: "1984-02-29" },
      undeclared: { shoe: 42 },
    });
    // What breaks the schema that was declared for it stays sealed, and nothing of it is lost.
    expect(await secretOf(changed, three as Row)).toMatchObject({ undeclared: { shoe: 42, points: "many" } });
    const [old] = await rowsOf(changed, "__history");
    expect(old).toMatchObject({ tier: "gold", points: "1", email_domain: "gmail.com" });
    expect(await secretOf(changed, old as Row)).toMatchObject({ personal: { full_name: "Jane 1" } });
  });

  test("are taken up after the last batch, and once they are done nothing is left to do", async () => {
    const stream = testStream(BEFORE, { version: "rank" });
    const records = Array.from({ length: 4500 }, (_, index) => person(index));
    await syncPages(database.pool, vault, stream, [{ records }]);
    const changed = { ...stream, schema: AFTER };
    const plan = testPlan(changed);
    await inTransaction(database.pool, (client) => followSchema(client, plan));
    expect(await reprocessBatch(database.pool, vault, plan)).toMatchObject({ rowsRead: 2000, rowsChanged: 2000 });
    const status = (await runningReprocessings(database.pool)).find((each) => each.stream === stream.name);
    expect(status?.fields).toContain("tier");
    expect(status?.share).toBeCloseTo(2000 / 4500);
    // Another process goes on from there, and a record that lands meanwhile has the new schema already.
    await syncPages(database.pool, vault, changed, [{ records: [person(4600)] }]);
    expect(await reprocessAll(changed)).toEqual({ rowsRead: 4500, rowsChanged: 4500, valuesRefused: 0 });
    expect(await reprocessBatch(database.pool, vault, plan)).toBeNull();
    const { rows } = await database.pool.query(
      `select count(*)::int as rows, count(distinct mailbox)::int as mailboxes, count(tier)::int as tiers
       from ${quoteName("raw", plan.table)}`,
    );
    expect(rows).toEqual([{ rows: 4501, mailboxes: 4501, tiers: 4501 }]);
    const { rows: undeclared } = await database.pool.query(
      "select field from ops.undeclared_fields where stream = $1",
      [stream.name],
    );
    expect(undeclared).toEqual([{ field: "shoe" }]);
  });

  test("of an erased person stay as they are", async () => {
    const stream = testStream(BEFORE);
    await syncPages(database.pool, vault, stream, [{ records: [person(71), person(72)] }]);
    await database.pool.query("delete from vault.identifiers where token = any($1)", [
      [vault.naming.token("customer_id", "71")],
    ]);
    const fresh = await openTestVault(database.pool);
    const changed = { ...stream, schema: AFTER };
    const plan = testPlan(changed);
    await inTransaction(database.pool, (client) => followSchema(client, plan));
    expect(await reprocessBatch(database.pool, fresh, plan)).toMatchObject({ rowsRead: 2, rowsChanged: 1 });
  });

  test("keep sealed what the schema declares no longer", async () => {
    const stream = testStream(BEFORE);
    await syncPages(database.pool, vault, stream, [{ records: [person(81)] }]);
    const { full_name: _, ...properties } = BEFORE.properties;
    const changed = {
      ...stream,
      schema: { ...BEFORE, properties: { ...properties, points: { type: "integer" as const } } },
    };
    expect(await reprocessAll(changed)).toMatchObject({ rowsChanged: 1 });
    const [row] = await rowsOf(changed);
    expect(await secretOf(changed, row as Row)).toMatchObject({ undeclared: { full_name: "Jane 81", tier: "gold" } });
  });
});

test("a page that was read under the schema before does not land once it has changed", async () => {
  const stream = testStream(BEFORE);
  const sync = await beginSync(database.pool, vault, {
    id: randomUUID(),
    kind: "incremental",
    source: "shop",
    cursorScope: "stream",
    plans: [testPlan(stream)],
    window: null,
  });
  const changed = testPlan({ ...stream, schema: AFTER });
  await inTransaction(database.pool, (client) => followSchema(client, changed));
  const page = onePage({ records: { [stream.name]: [person(1)] }, cursor: null });
  await expect(landIncoming(database.pool, vault, sync, page)).rejects.toMatchObject({
    code: "schema_changed",
    retryable: true,
  });
  const { rows } = await database.pool.query(`select from ${quoteName("raw", changed.table)}`);
  expect(rows).toHaveLength(0);
});

test("values of an undeclared field are found for its type to be told, and none of another field", async () => {
  const stream = testStream(BEFORE);
  await syncPages(database.pool, vault, stream, [{ records: [person(1), person(2), person(3, { tier: ["a"] })] }]);
  const values = await sampleUndeclared(database.pool, vault, testPlan(stream), "tier");
  expect(values).toHaveLength(3);
  expect(values).toEqual(expect.arrayContaining(["gold", "gold", ["a"]]));
  expect(await sampleUndeclared(database.pool, vault, testPlan(stream), "full_name")).toEqual([]);
});

describe("what is sealed opens in its own place alone", () => {
  test("not in another row, version or table, nor as an identifier, whoever's key it is under", async () => {
    const stream = testStream(BEFORE);
    await syncPages(database.pool, vault, stream, [{ records: [person(91), person(92)] }]);
    await syncPages(database.pool, vault, stream, [{ records: [person(91, { rank: 2 })] }]);
    const [attacker, victim] = (await rowsOf(stream)) as [Row, Row];
    const [older] = (await rowsOf(stream, "__history")) as [Row];
    const table = `shop__${stream.name}`;
    const identities = [
      rowIdentity(table, victim.record_key, victim.content_hash),
      rowIdentity(table, attacker.record_key, older.content_hash),
      rowIdentity(`${table}__history`, attacker.record_key, attacker.content_hash),
      rowIdentity("shop__other", attacker.record_key, attacker.content_hash),
      `identifier:${attacker.owner_token}`,
    ];
    await expect(secretOf(stream, attacker)).resolves.toBeTruthy();
    for (const identity of identities)
      await expect(secretOf(stream, attacker, identity)).rejects.toThrow("does not open");

    // The victim's ciphertext in the attacker's row, with the victim named as its owner.
    const stolen = { ...attacker, sealed: victim.sealed, owner_token: victim.owner_token };
    await expect(secretOf(stream, stolen)).rejects.toThrow("does not open");
    await database.pool.query(
      `update ${quoteName("raw", table)} set sealed = $2, owner_token = $3 where record_key = $1`,
      [attacker.record_key, victim.sealed, victim.owner_token],
    );
    await expect(reprocessAll({ ...stream, schema: AFTER })).rejects.toThrow("does not open");
  });

  test("an identifier's plaintext and key do not open under another token", async () => {
    const stream = testStream(BEFORE);
    await syncPages(database.pool, vault, stream, [{ records: [person(93), person(94)] }]);
    const [mine, other] = [vault.naming.token("customer_id", "93"), vault.naming.token("customer_id", "94")];
    const fresh = await openTestVault(database.pool);
    const read = (): Promise<unknown> =>
      inTransaction(database.pool, (client) => fresh.openIdentifiers(client, [mine]));
    for (const columns of [
      "sealed = o.sealed",
      "wrapped_key = o.wrapped_key",
      "sealed = o.sealed, wrapped_key = o.wrapped_key",
    ]) {
      const { rows } = await database.pool.query("select sealed, wrapped_key from vault.identifiers where token = $1", [
        mine,
      ]);
      await database.pool.query(
        `update vault.identifiers as i set ${columns} from vault.identifiers as o where i.token = $1 and o.token = $2`,
        [mine, other],
      );
      await expect(read()).rejects.toThrow("does not open");
      await database.pool.query("update vault.identifiers set sealed = $2, wrapped_key = $3 where token = $1", [
        mine,
        (rows[0] as Row).sealed,
        (rows[0] as Row)["wrapped_key"],
      ]);
    }
    await expect(read()).resolves.toBeTruthy();
  });

  test("a record without an identifier is sealed under its stream's key, and no other stream's", async () => {
    const schema: StreamSchema = {
      type: "object",
      properties: { rank: { type: "integer" }, points: { type: "integer" } },
    };
    const [stream, other] = [
      testStream(schema, { mode: "append", key: null }),
      testStream(schema, { mode: "append", key: null }),
    ];
    for (const each of [stream, other])
      await syncPages(database.pool, vault, each, [{ records: [{ rank: 1, points: 1, note: "x" }] }]);
    const [row] = (await rowsOf(stream)) as [Row];
    expect(row.owner_token).toBeNull();
    expect(await secretOf(stream, row)).toEqual({ undeclared: { note: "x" } });
    const identity = rowIdentity(`shop__${stream.name}`, row.record_key, row.content_hash);
    await expect(secretOf(other, row, identity)).rejects.toThrow("does not open");
  });
});
