import { afterAll, beforeAll, expect, test } from "vitest";
import type { SurvivorshipRule } from "../domain/survivorship.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { explainAttribute } from "./identity/survivorship.ts";
import { build, keepLandings, packageGraph, sqlFile, touch } from "./models/test-warehouse.ts";

const SOURCES = ["shop", "newsletter"];
const email = (name: string) => `email_${name.padEnd(32, "0")}`;
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  for (const source of SOURCES) {
    await database.pool.query(
      `create table raw.${source}__people (record_key uuid primary key default gen_random_uuid(), deleted_at timestamptz,
         email_token text, country text, birth_year integer, registered_at timestamptz)`,
    );
    await keepLandings(database.pool, `raw.${source}__people`);
  }
  // Of Anna the newsletter knows the latest and the shop the most frequent country; Ben is known to the newsletter alone.
  await put("shop", "anna", "FR", 1980, "2026-01-01");
  await put("shop", "anna", "FR", null, "2026-01-02");
  await put("newsletter", "anna", "DE", 1981, "2026-01-03");
  await put("newsletter", "anna", null, 1982, "2026-01-04");
  await put("newsletter", "ben", "IT", null, "2026-01-05");
});
afterAll(() => database.drop());

const query = async (sql: string, values: unknown[] = []) => (await database.pool.query(sql, values)).rows;

async function put(source: string, who: string, country: string | null, year: number | null, day: string) {
  await query(
    `insert into raw.${source}__people (email_token, country, birth_year, registered_at) values ($1, $2, $3, $4)`,
    [email(who), country, year, `${day}T10:00:00Z`],
  );
  await touch(database.pool, `raw.${source}__people`);
}

async function graphBy(rules: SurvivorshipRule[]) {
  const staging = SOURCES.map((source) =>
    sqlFile(
      `models/staging/${source}__people.sql`,
      `-- One row per person.\n-- contract: customers\nselect record_key, deleted_at, null::text as customer_ref, email_token,
         null::text as phone_token, country, birth_year, registered_at from raw.${source}__people\n`,
    ),
  );
  const sources = SOURCES.map((name) => ({
    name,
    streams: [{ source: name, name: "people", schema: { properties: {} } }],
  }));
  return await packageGraph(staging, [], { sources: sources as never }, [], rules);
}

const attributesOf = async (who: string) =>
  (
    await query(
      `select c.country, c.birth_year from mart.dim_customers as c
       join core.identifiers as i on i.customer_id = c.customer_id where i.token = $1`,
      [email(who)],
    )
  )[0];

const byRule = (rule: Omit<SurvivorshipRule, "attribute">): SurvivorshipRule[] =>
  (["country", "birth_year"] as const).map((attribute) => ({ attribute, ...rule }));

/** What `why` says of every customer and attribute is what the mart has. */
async function expectExplained(): Promise<void> {
  const customers = await query("select customer_id, country, birth_year from mart.dim_customers");
  expect(customers.length).toBeGreaterThan(1);
  for (const { customer_id: id, ...attributes } of customers) {
    for (const [attribute, value] of Object.entries(attributes as Record<string, string | number | null>)) {
      const { records } = await explainAttribute(database.pool, id, attribute, null);
      expect(records[0]?.value ?? null).toBe(value === null ? null : String(value));
    }
  }
}

test("without a rule and by most_recent, the latest registration that names a value wins", async () => {
  await build(database.pool, await graphBy([]));
  expect(await attributesOf("anna")).toEqual({ country: "DE", birth_year: 1982 });
  await build(database.pool, await graphBy(byRule({ by: "most_recent", sources: [] })));
  expect(await attributesOf("anna")).toEqual({ country: "DE", birth_year: 1982 });
  await expectExplained();
});

test("by most_frequent, the value that most records hold wins, and of equally frequent ones the latest", async () => {
  await build(database.pool, await graphBy(byRule({ by: "most_frequent", sources: [] })));
  expect(await attributesOf("anna")).toEqual({ country: "FR", birth_year: 1982 });
  await expectExplained();
});

test("by priority, the source listed first wins where it names a value, and one not listed comes last", async () => {
  await build(database.pool, await graphBy(byRule({ by: "priority", sources: ["shop", "newsletter"] })));
  expect(await attributesOf("anna")).toEqual({ country: "FR", birth_year: 1980 });
  expect(await attributesOf("ben")).toEqual({ country: "IT", birth_year: null });
  await build(database.pool, await graphBy(byRule({ by: "priority", sources: ["newsletter"] })));
  expect(await attributesOf("anna")).toEqual({ country: "DE", birth_year: 1982 });
  await expectExplained();
});

test("each attribute has its own rule, and why tells the rule, the records and which one won", async () => {
  await build(
    database.pool,
    await graphBy([
      { attribute: "country", by: "most_frequent", sources: [] },
      { attribute: "birth_year", by: "priority", sources: ["shop"] },
    ]),
  );
  expect(await attributesOf("anna")).toEqual({ country: "FR", birth_year: 1980 });
  const [{ customer_id: anna }] = (await query("select customer_id from core.identifiers where token = $1", [
    email("anna"),
  ])) as [{ customer_id: string }];
  const { rule, records } = await explainAttribute(database.pool, anna, "country", null);
  expect(rule).toEqual({ attribute: "country", by: "most_frequent", sources: [] });
  expect(
    records.map(({ value, source, registeredAt, records: count }) => [value, source, registeredAt, count]),
  ).toEqual([
    ["FR", "shop", "2026-01-02 10:00:00+00", 2],
    ["FR", "shop", "2026-01-01 10:00:00+00", 2],
    ["DE", "newsletter", "2026-01-03 10:00:00+00", 1],
  ]);
  const hidden = await explainAttribute(database.pool, anna, "country", "ethnicity");
  expect(hidden.records).toEqual(records.map((record) => ({ ...record, value: null })));
  await expect(explainAttribute(database.pool, anna, "email_token", null)).rejects.toThrow(
    "email_token is no attribute that records decide; write one of country, birth_year.",
  );
});

test("builds of what has changed end in the customers of a full build, by every rule", async () => {
  for (const rule of [
    { by: "most_frequent", sources: [] },
    { by: "priority", sources: ["shop"] },
    { by: "most_recent", sources: [] },
  ] as const) {
    const graph = await graphBy(byRule({ by: rule.by, sources: [...rule.sources] }));
    await build(database.pool, graph);
    // Enough others that three records are a small part of them.
    for (let i = 0; i < 20; i++) await put("shop", `c${i}${rule.by.length}`, "ES", 1990, "2026-01-01");
    await build(database.pool, graph);
    await put("newsletter", "anna", "DE", 1983, "2026-01-06");
    await put("newsletter", "ben", "CH", 1970, "2026-01-01");
    await query(
      "update raw.shop__people set deleted_at = now() where record_key = (select min(record_key::text)::uuid from raw.shop__people where email_token = $1 and deleted_at is null)",
      [email("anna")],
    );
    await touch(database.pool, "raw.shop__people");
    const { published } = await build(database.pool, graph);
    const how = new Map(published!.models.map((model) => [model.relation, model.how]));
    expect(how.get("mart.dim_customers")).toBe("incremental");
    await expectExplained();
    const full = await build(database.pool, graph, { full: true });
    expect(full.published!.relations.filter((each) => each.inserted + each.updated + each.deleted)).toEqual([]);
  }
}, 120_000);
