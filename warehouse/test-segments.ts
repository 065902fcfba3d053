import { afterAll, beforeAll, beforeEach } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { build, emptyWarehouse, graphOf, sqlFile, touch } from "./models/test-warehouse.ts";
import { loadParser, type ModelFile } from "./models/syntax.ts";
import { loadSegment } from "./segments.ts";
import { segmentsNode } from "./segments-node.ts";

/** People whose tags say everything of them: who has `a`, `objects`, is merged `in 3`, `knows 2` or is `known`. */
const FILES = [
  sqlFile("models/staging/shop__people.sql", "-- One row per person.\nselect n, tags from raw.shop__people"),
  sqlFile(
    "models/core/people.sql",
    `-- One row per person.\n-- key: customer_id\nselect lpad(n::text, 32, '0')::uuid as customer_id, tags from staging.shop__people where not array_to_string(tags, ',') like '%in %'
     union all select ops.nobody(), '{a}'`,
  ),
  sqlFile(
    "models/mart/dim_customers.sql",
    "-- One row per customer.\n-- key: customer_id\nselect customer_id, tags from core.people where customer_id <> ops.nobody()",
  ),
  sqlFile(
    "models/core/use_limits.sql",
    `-- One row per person, choice and purpose.\n-- key: customer_id, choice, purpose
     select customer_id, 'objection' as choice, 'marketing' as purpose, true as is_limited from core.people where 'objects' = any (tags)`,
  ),
  sqlFile(
    "models/core/merged_people.sql",
    `-- One row per id that was a person's.\n-- key: former_customer_id
     select lpad(s.n::text, 32, '0')::uuid as former_customer_id, lpad(substring(tag from 4), 32, '0')::uuid as customer_id
     from staging.shop__people as s cross join lateral unnest(s.tags) as tag where tag like 'in %'`,
  ),
  sqlFile(
    "models/mart/tagged.sql",
    "-- One row per person.\n-- key: customer_id\nselect customer_id, array_remove(tags, 'objects') as tags from core.people",
  ),
  sqlFile(
    "models/mart/shown.sql",
    "-- One row per person.\n-- materialize: view\nselect customer_id, tags from mart.tagged",
  ),
  sqlFile(
    "models/mart/friends.sql",
    `-- One row per acquaintance: whom somebody knows, or nobody that we know of.\n-- key: customer_id, friend_id
     select people.customer_id, lpad(substring(tag from 7), 32, '0')::uuid as friend_id
     from core.people as people cross join lateral unnest(people.tags) as tag where tag like 'knows %'
     union all select ops.nobody(), people.customer_id from core.people as people where 'known' = any (people.tags)`,
  ),
];

/** The id of a person. */
export const person = (n: number) =>
  String(n)
    .padStart(32, "0")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

/** A file of sql/segments. */
export const segmentFile = (name: string, sql: string, header = `-- Who has ${name}.\n-- consent: marketing\n`) =>
  sqlFile(`segments/${name}.sql`, header + sql);
/** A segment of the people who have a tag. */
export const tagged = (tag: string) =>
  segmentFile(tag, `select customer_id from mart.tagged where '${tag}' = any (tags)`);

/** A warehouse of such people for a file of tests, empty before each. */
export function taggedPeople() {
  let database: TestDatabase;
  const rows = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;
  const empty = async () => {
    await emptyWarehouse(database.pool);
    await rows("create table if not exists raw.shop__people (n integer primary key, tags text[] not null)");
  };
  beforeAll(async () => {
    database = await createTestDatabase();
    await loadParser();
  });
  afterAll(() => database.drop());
  beforeEach(empty);

  async function put(people: Record<number, string[]>) {
    await rows("truncate raw.shop__people");
    await rows(
      "insert into raw.shop__people select n, array(select jsonb_array_elements_text(tags)) from jsonb_to_recordset($1) as p (n integer, tags jsonb)",
      [JSON.stringify(Object.entries(people).map(([n, tags]) => ({ n: Number(n), tags })))],
    );
    await touch(database.pool, "raw.shop__people");
  }

  async function planWith(segments: ModelFile[], options = {}) {
    const graph = await graphOf(FILES, ["people"], { nodes: [segmentsNode(segments.map(loadSegment))] });
    return await build(database.pool, graph, options);
  }
  const buildWith = async (segments: ModelFile[], options = {}) => (await planWith(segments, options)).published;

  /** Names of segments, each with its members at a moment (now: those whose span has no end). */
  async function members(at?: Date): Promise<Record<string, number[]>> {
    const found = await rows(
      `select segment, array_agg(ltrim(replace(customer_id::text, '-', ''), '0')::int order by customer_id) as ids
       from mart.fct_segment_memberships where case when $1::timestamptz is null then upper_inf(valid) else valid @> $1::timestamptz end
       group by segment`,
      [at ?? null],
    );
    return Object.fromEntries(found.map(({ segment, ids }) => [segment, ids]));
  }

  return { database: () => database, rows, empty, put, planWith, buildWith, members };
}
