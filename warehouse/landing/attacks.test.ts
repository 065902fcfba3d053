import { afterAll, beforeAll, expect, test } from "vitest";
import type { StreamSchema } from "../../domain/streams.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault, syncPages, testStream } from "../../test/landing.ts";
import { quoteName } from "../database.ts";
import type { Vault } from "../vault.ts";

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());

const SCHEMA: StreamSchema = {
  type: "object",
  required: ["id"],
  properties: {
    id: { type: "integer" },
    email: { type: ["string", "null"], personal: "email", identifier: "email" },
    phone: { type: ["string", "null"], personal: "phone", identifier: "phone" },
    device: { type: ["string", "null"], personal: "device_id", identifier: "device_id" },
    full_name: { type: ["string", "null"], personal: "name" },
    page_url: { type: ["string", "null"] },
    properties: { type: ["object", "null"] },
    amount: { type: ["integer", "null"] },
  },
};

const EMAIL = "canary-7f3a@victim.test";
const NEEDLES = ["canary-7f3a", "canary%2d7f3a", "15199990001", "Zzyzx", "dev-canary"];

/** Every row of every table of the warehouse, bytes as hex, that holds one of the texts: table and text. */
async function findings(texts: string[]): Promise<string[]> {
  const { rows: tables } = await database.pool.query<{ schema: string; name: string }>(
    `select schemaname as schema, tablename as name from pg_tables
     where schemaname not in ('pg_catalog', 'information_schema') order by 1, 2`,
  );
  const found: string[] = [];
  for (const { schema, name } of tables) {
    for (const text of texts) {
      const { rows } = await database.pool.query<{ count: number }>(
        `select count(*)::int as count from ${quoteName(schema, name)} as each
         where position(lower($1) in lower(to_jsonb(each)::text)) > 0
            or position($2 in lower(to_jsonb(each)::text)) > 0 or position($3 in to_jsonb(each)::text) > 0`,
        [text, Buffer.from(text).toString("hex"), Buffer.from(text).toString("base64").slice(0, 12)],
      );
      if (rows[0]?.count) found.push(`${schema}.${name}: ${text}`);
    }
  }
  return found;
}

test("no table of the warehouse holds a canary that came in every field, name, spelling and encoding", async () => {
  const stream = testStream(SCHEMA, { rejectLimit: 1 });
  const base64 = Buffer.from(`user=${EMAIL}`).toString("base64");
  const records = [
    { id: 1, email: EMAIL, phone: "+49 1519 9990001", device: "dev-canary-7f3a", full_name: "Zzyzx Canaryson" },
    { id: 2, page_url: `https://shop.example/in?mail=${encodeURIComponent(EMAIL)}&t=%2B4915199990001#${EMAIL}` },
    {
      id: 3,
      page_url: `https://shop.example/?next=${encodeURIComponent(encodeURIComponent(`/in?m=${EMAIL}`))}&u=${base64}`,
    },
    {
      id: 4,
      properties: {
        [EMAIL]: 1,
        list: [{ mailto: `mailto:${EMAIL}` }],
        phone: 4915199990001,
        phones: { mobile: [{ number: 4915199990001 }] },
        raw: `{"m":"${EMAIL}"}`,
      },
    },
    {
      id: 5,
      properties: {
        html: "canary-7f3a&#64;victim.test",
        wide: "canary-7f3a＠victim。test",
        js: "canary-7f3a\\u0040victim.test",
        json: JSON.stringify(JSON.stringify({ to: "canary-7f3a\\u0040victim.test" })),
      },
    },
    {
      id: 6,
      nickname: "Zzyzx",
      contacts: [{ email: EMAIL }],
      [`note of ${EMAIL}`]: "x",
      [`"; drop table raw.x; --`]: "Zzyzx",
    },
    // Refused: an address in a field of numbers, a name beside it, one nested too deep.
    { id: 7, amount: EMAIL, full_name: "Zzyzx Canaryson", phone: "+4915199990001" },
    { id: EMAIL, full_name: "Zzyzx" },
  ];
  const torn = { stream: stream.name, reason: "ragged_row", pointer: `data/${EMAIL}.csv line 2`, raw: `8,${EMAIL}` };
  const report = await syncPages(database.pool, vault, stream, [{ records, rejects: [torn] }], {
    kinds: ["email", "phone", "device_id"],
  });
  expect(report).toMatchObject({ inserted: 6, rejected: 3 });
  expect(await findings(NEEDLES)).toEqual([]);
  // The search itself finds what is open.
  await syncPages(database.pool, vault, stream, [
    { records: [{ id: 9, page_url: "https://shop.example/control-7f3a" }] },
  ]);
  expect(await findings(["control-7f3a"])).toEqual([`raw.shop__${stream.name}: control-7f3a`]);
});

test("whatever the spelling, the source and the place, an address has one token, so that it is known again", async () => {
  const token = vault.naming.token("email", EMAIL);
  const spellings = [
    EMAIL,
    ` ${EMAIL.toUpperCase()} `,
    "ｃanary-7f3a@victim.test",
    `Zzyzx <${EMAIL}>`,
    "canary-7f3a@VICTIM。test",
  ];
  for (const [index, email] of spellings.entries()) {
    const stream = testStream(SCHEMA);
    await syncPages(database.pool, vault, stream, [
      { records: [{ id: index, email, page_url: `/?m=${email.trim()}` }] },
    ]);
    const { rows } = await database.pool.query<{ email: string; page_url: string }>(
      `select email, page_url from ${quoteName("raw", `shop__${stream.name}`)}`,
    );
    expect(rows[0]?.email).toBe(token);
    expect(rows[0]?.page_url).toContain(token);
  }
});

test("a mailbox is known again by another spelling that its provider delivers to it", async () => {
  const stream = testStream(SCHEMA);
  const records = ["jane@gmail.com", "J.ane+x@googlemail.com", "jane+y@victim.test"].map((email, id) => ({
    id,
    email,
  }));
  await syncPages(database.pool, vault, stream, [{ records }]);
  const { rows } = await database.pool.query<{ folded: string }>(
    "select folded_token as folded from vault.identifiers where token = any($1) order by token = $2 desc, token = $3 desc",
    [
      ["jane@gmail.com", "j.ane+x@googlemail.com", "jane+y@victim.test"].map((each) =>
        vault.naming.token("email", each),
      ),
      vault.naming.token("email", "jane@gmail.com"),
      vault.naming.token("email", "j.ane+x@googlemail.com"),
    ],
  );
  expect(rows.map(({ folded }) => folded)).toEqual([
    vault.naming.token("email_folded", "jane@gmail.com"),
    vault.naming.token("email_folded", "jane@gmail.com"),
    vault.naming.token("email_folded", "jane+y@victim.test"),
  ]);
});

test("a quarantined record carries the tokens of all whom it names, so that an erasure finds it", async () => {
  const stream = testStream(SCHEMA, { rejectLimit: 1 });
  const record = {
    id: 1,
    amount: "none",
    phone: "06 39 98 12 34",
    properties: { to: [`<${EMAIL}>`], mobile: 33639981235 },
  };
  await syncPages(database.pool, vault, stream, [{ records: [record] }]);
  const { rows } = await database.pool.query<{ tokens: string[] }>(
    "select tokens from ops.quarantine where stream = $1",
    [stream.name],
  );
  expect(rows[0]?.tokens.toSorted()).toEqual(
    [
      vault.naming.token("email", EMAIL),
      vault.naming.token("phone", "+33639981234"),
      vault.naming.token("phone", "+33639981235"),
    ].toSorted(),
  );
});

test("names of streams, fields, kinds and JSON keys that are SQL are names", async () => {
  const attack = `x"; drop table vault.identifiers; select '$$`;
  const schema: StreamSchema = {
    type: "object",
    required: ["id"],
    properties: {
      id: { type: "integer" },
      [attack]: { type: ["string", "null"] },
      "'; truncate privacy.audit; --": {
        type: ["string", "null"],
        personal: "email",
        identifier: "email",
        keep: ["domain"],
      },
      "\\": { type: ["object", "null"] },
    },
  };
  const stream = testStream(schema, { name: `s_1"; drop schema raw cascade; --`, rejectLimit: 1 });
  const records = [
    {
      id: 1,
      [attack]: attack,
      "'; truncate privacy.audit; --": `${EMAIL}'; --`,
      "\\": { [attack]: { [attack]: "'" } },
    },
    { id: 2, "'; truncate privacy.audit; --": EMAIL, [`undeclared ${attack}`]: attack },
    { id: attack },
  ];
  const report = await syncPages(database.pool, vault, stream, [{ records }]);
  expect(report).toMatchObject({ inserted: 2, rejected: 1 });
  await syncPages(database.pool, vault, stream, [{ records: [{ id: 1, [attack]: "changed" }] }]);
  const { rows } = await database.pool.query<Record<string, unknown>>(
    `select * from ${quoteName("raw", `shop__${stream.name}`)} order by id`,
  );
  expect(rows.map(({ id }) => id)).toEqual(["1", "2"]);
  expect(Object.values(rows[0]!)).toContain("changed");
  expect(Object.values(rows[1]!)).toContain(vault.naming.token("email", EMAIL));
  const { rows: left } = await database.pool.query(
    "select (select count(*)::int from vault.identifiers) as identifiers, to_regclass('privacy.audit') is not null as audit",
  );
  expect(left[0].identifiers).toBeGreaterThan(0);
  expect(left[0].audit).toBe(true);
});
