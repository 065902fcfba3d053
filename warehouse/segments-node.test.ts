import fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { packageGraph, build, emptyWarehouse, graphOf, sqlFile, touch } from "./models/test-warehouse.ts";
import { loadParser, type ModelFile } from "./models/syntax.ts";
import { loadSegment, previewSegment, readSegments } from "./segments.ts";
import { segmentsNode } from "./segments-node.ts";

let database: TestDatabase;
const rows = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;
const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

beforeAll(async () => {
  database = await createTestDatabase();
  await loadParser();
});
afterAll(() => database.drop());
beforeEach(async () => {
  await emptyWarehouse(database.pool);
  await rows("create table raw.shop__people (n integer primary key, tags text[] not null)");
});

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
const person = (n: number) =>
  String(n)
    .padStart(32, "0")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

const segmentFile = (name: string, sql: string, header = `-- Who has ${name}.\n-- consent: marketing\n`) =>
  sqlFile(`segments/${name}.sql`, header + sql);
const tagged = (tag: string) => segmentFile(tag, `select customer_id from mart.tagged where '${tag}' = any (tags)`);

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

describe("segments", () => {
  test("have their size, share and members, each once, and neither nobody nor strangers", async () => {
    await put({ 1: ["a", "b"], 2: ["a"], 3: [] });
    const doubled = segmentFile(
      "d",
      "select customer_id from mart.tagged\nunion all\nselect customer_id from mart.tagged -- twice",
    );
    const stranger = segmentFile("s", `select '${id(99)}'::uuid as customer_id union select null;`, "-- Strangers.\n");
    await buildWith([tagged("a"), tagged("b"), doubled, stranger, tagged("c")]);
    expect(
      await rows(
        "select segment, description, consent, customers::int, round(share, 3)::float8 as share from mart.dim_segments order by 1",
      ),
    ).toEqual([
      { segment: "a", description: "Who has a.", consent: "marketing", customers: 2, share: 0.667 },
      { segment: "b", description: "Who has b.", consent: "marketing", customers: 1, share: 0.333 },
      { segment: "c", description: "Who has c.", consent: "marketing", customers: 0, share: 0 },
      { segment: "d", description: "Who has d.", consent: "marketing", customers: 3, share: 1 },
      { segment: "s", description: "Strangers.", consent: null, customers: 0, share: 0 },
    ]);
    expect(await members()).toEqual({ a: [1, 2], b: [1], d: [1, 2, 3] });
  });

  test("write nothing when nobody joined or left", async () => {
    await put({ 1: ["a"], 2: [] });
    await buildWith([tagged("a")]);
    const before = await rows("select *, xmin::text from mart.fct_segment_memberships");
    const again = await buildWith([tagged("a")], { full: true });
    expect(again!.relations.filter((r) => r.inserted + r.updated + r.deleted > 0)).toEqual([]);
    expect(await rows("select *, xmin::text from mart.fct_segment_memberships")).toEqual(before);
  });

  test("forget the memberships of a customer who is gone, and of a segment that is taken out", async () => {
    await put({ 1: ["a", "b"], 2: ["a"] });
    await buildWith([tagged("a"), tagged("b")]);
    await put({ 2: ["a"] });
    await buildWith([tagged("a"), tagged("b")]);
    expect(await rows("select segment, customer_id from mart.fct_segment_memberships")).toEqual([
      { segment: "a", customer_id: person(2) },
    ]);
    await buildWith([tagged("b")]);
    expect(await rows("select from mart.fct_segment_memberships")).toHaveLength(0);
    expect(await rows("select segment from mart.dim_segments")).toEqual([{ segment: "b" }]);
  });

  test("keep their history whatever joins and leaves: at every moment those were members who were", async () => {
    const tags = fc.subarray(["a", "b"]);
    const states = fc.array(fc.record({ 1: tags, 2: tags, 3: tags, 4: tags }), { minLength: 5, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(states, async (history) => {
        await emptyWarehouse(database.pool);
        await rows("create table if not exists raw.shop__people (n integer primary key, tags text[] not null)");
        const seen: [Date, Record<string, number[]>][] = [];
        for (const state of history) {
          await put(state);
          await buildWith([tagged("a"), tagged("b")]);
          const [{ at }] = (await rows("select clock_timestamp() as at")) as [{ at: Date }];
          const expected: Record<string, number[]> = {};
          for (const tag of ["a", "b"]) {
            const ids = Object.entries(state).flatMap(([n, own]) => (own.includes(tag) ? [Number(n)] : []));
            if (ids.length) expected[tag] = ids;
          }
          expect(await members()).toEqual(expected);
          seen.push([at, expected]);
        }
        for (const [at, expected] of seen) expect(await members(at)).toEqual(expected);
        const overlaps = await rows(
          `select from mart.fct_segment_memberships as x join mart.fct_segment_memberships as y
             on x.segment = y.segment and x.customer_id = y.customer_id and x.valid && y.valid and x.valid < y.valid`,
        );
        expect(overlaps).toHaveLength(0);
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });

  test("of a customer that is merged into another wait, and a split brings them back as if nothing had been", async () => {
    const spans = async (table: string) =>
      await rows(`select * from mart.${table} order by segment, valid, customer_id`);
    const segments = [tagged("a"), tagged("b"), tagged("c")];
    await put({ 1: ["a"], 2: ["a", "b", "c"] });
    await buildWith(segments);
    await put({ 1: ["a"], 2: ["a", "b"] });
    await buildWith(segments);
    const before = await spans("fct_segment_memberships");
    expect(before).toHaveLength(4);
    await put({ 1: ["a", "b"], 2: ["in 1"] });
    await buildWith(segments);
    expect(await members()).toEqual({ a: [1], b: [1] });
    expect(await spans("merged_segment_memberships")).toHaveLength(3);
    expect(new Set((await spans("merged_segment_memberships")).map((each) => each.customer_id))).toEqual(
      new Set([person(1)]),
    );
    await put({ 1: ["a"], 2: ["a", "b"] });
    await buildWith(segments);
    expect(await spans("merged_segment_memberships")).toEqual([]);
    const ended = (each: { segment: string; customer_id: string }) =>
      each.segment === "b" && each.customer_id === person(1);
    expect((await spans("fct_segment_memberships")).filter((each) => !ended(each))).toEqual(before);
  });

  test("that follow what they read look at the customers alone that a change touches, and end as if all were computed", async () => {
    const following = ["a", "b"].map((tag) =>
      segmentFile(
        tag,
        `select customer_id from mart.tagged where '${tag}' = any (tags)`,
        `-- Who has ${tag}.\n-- consent: marketing\n-- follows: mart.tagged by customer_id\n`,
      ),
    );
    const person = (...others: string[]) => fc.subarray(["a", "b", "objects", ...others]);
    const states = fc.array(fc.record({ 1: person(), 2: person("in 1"), 3: person("in 1"), 4: person("in 3") }), {
      minLength: 5,
      maxLength: 5,
    });
    const ways = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(states, async (history) => {
        await emptyWarehouse(database.pool);
        await rows("create table if not exists raw.shop__people (n integer primary key, tags text[] not null)");
        for (const state of history) {
          // Who is merged is merged into somebody who is not.
          if (state[3].includes("in 1")) state[4] = state[4].filter((tag) => tag !== "in 3");
          await put(state);
          const published = await buildWith(following);
          const how =
            published?.models.find(({ relation }) => relation === "mart.fct_segment_memberships")?.how ?? "none";
          ways.set(how, (ways.get(how) ?? 0) + 1);
          const again = await buildWith(following, { full: true });
          expect(again!.relations.filter((r) => r.inserted + r.updated + r.deleted > 0)).toEqual([]);
        }
      }),
      { numRuns: 6, endOnFailure: true },
    );
    expect(ways.get("incremental")).toBeGreaterThan(10);
  });

  test("may follow two columns of one relation: who is told by either is told", async () => {
    const friendly = segmentFile(
      "friendly",
      "select customer_id from mart.friends union all select friend_id from mart.friends",
      `-- Who knows or is known.
-- follows: mart.friends by customer_id; mart.friends by customer_id from friend_id
`,
    );
    await put({ 1: ["knows 2"], 2: [], 3: [], 4: [] });
    await buildWith([friendly]);
    expect(await members()).toEqual({ friendly: [1, 2] });
    await put({ 1: ["knows 2"], 2: [], 3: [], 4: ["known"] });
    const published = await buildWith([friendly]);
    expect(published!.models.find(({ relation }) => relation === "mart.dim_segments")?.how).toBe("incremental");
    expect(await members()).toEqual({ friendly: [1, 2, 4] });
  });

  test("follow a view, also after a build of it alone", async () => {
    const shown = segmentFile("shown", "select customer_id from mart.shown where 'a' = any (tags)");
    await put({ 1: ["a"], 2: [] });
    await buildWith([shown]);
    await put({ 1: ["a"], 2: ["a"] });
    await buildWith([shown], { select: ["+mart.shown"] });
    await buildWith([shown]);
    expect(await members()).toEqual({ shown: [1, 2] });
  });

  test("are computed whole where one of them does not follow what has changed", async () => {
    const follows = "-- Who has a.\n-- follows: mart.tagged by customer_id\n";
    const a = segmentFile("a", "select customer_id from mart.tagged where 'a' = any (tags)", follows);
    await put({ 1: ["a"], 2: [] });
    await buildWith([a, tagged("b")]);
    await put({ 1: ["b"], 2: ["a"] });
    const { plan } = await planWith([a, tagged("b")], { dry: true });
    expect(plan.relations.find(({ relation }) => relation === "mart.dim_segments")).toMatchObject({
      action: "full",
      reason: "mart.tagged changed, which sql/segments/b.sql does not follow",
    });
    const published = await buildWith([a, tagged("b")]);
    expect(published!.models.find(({ relation }) => relation === "mart.fct_segment_memberships")?.how).toBe("full");
    expect(await members()).toEqual({ a: [2], b: [1] });
  });

  test("keep their history when the clock was set back", async () => {
    await put({ 1: ["a"] });
    await buildWith([tagged("a")]);
    await rows("update mart.fct_segment_memberships set valid = tstzrange(now() + interval '1 day', null)");
    await put({ 1: [] });
    await buildWith([tagged("a")]);
    expect(await members()).toEqual({});
    await put({ 1: ["a"] });
    await buildWith([tagged("a")]);
    expect(await members()).toEqual({ a: [1] });
  });
});

describe("a segment that is wrong is told in one sentence with its place", () => {
  test.each([
    [
      "select customer_ids from mart.tagged",
      "sql/segments/x.sql: returns customer_ids; a segment's select returns customer_id alone.",
      "-- X.\n",
    ],
    [
      "select customer_id, 1 as n from mart.tagged",
      "returns customer_id, n; a segment's select returns customer_id alone.",
      "-- X.\n",
    ],
    [
      "select\n  customer_id\nfrom mart.tagged\nwhere spent > 3",
      'sql/segments/x.sql:5: column "spent" does not exist.',
      "-- X.\n",
    ],
    [
      "select customer_id from mart.tagged",
      "sql/segments/x.sql:2: a segment follows mart.tagged by customer_id, the one column that it returns.",
      "-- X.\n-- follows: mart.tagged by tags\n",
    ],
    [
      "select customer_id from mart.tagged",
      "sql/segments/x.sql: follows mart.dim_customers, which the select does not read.",
      "-- X.\n-- follows: mart.dim_customers by customer_id\n",
    ],
    [
      "select t.* from mart.tagged as t",
      "sql/segments/x.sql: returns customer_id, tags; a segment's select returns customer_id alone.",
      "-- X.\n",
    ],
    [
      "select customer_id::text as customer_id from mart.tagged",
      "sql/segments/x.sql: returns a customer_id that is no uuid; return the customer_id of a relation of the mart.",
      "-- X.\n",
    ],
    [
      "select customer_id from mart.tagged",
      "sql/segments/x.sql:1: opens with a comment that says what the segment is for",
      "",
    ],
    [
      "select customer_id from mart.tagged",
      'sql/segments/x.sql:2: consent names one purpose, as in "-- consent: marketing", not "a, b".',
      "-- X.\n-- consent: a, b\n",
    ],
    [
      "select customer_id from vault.identifiers",
      "sql/segments/x.sql:2: a segment or goal reads mart only, not vault.identifiers.",
      "-- X.\n",
    ],
    [
      "select customer_id from core.people",
      "sql/segments/x.sql:2: a segment or goal reads mart only, not core.people.",
      "-- X.\n",
    ],
    [
      "select customer_id from mart.tagge",
      "sql/segments/x.sql:2: there is no relation mart.tagge; did you mean mart.tagged?",
      "-- X.\n",
    ],
    ["select customer_id from mart.fct_segment_memberships", "reads itself in a circle", "-- X.\n"],
    ["insert into mart.tagged select 1", "sql/segments/x.sql:2: write one select, not insert.", "-- X.\n"],
  ])("%s", async (sql, sentence, header) => {
    await put({ 1: ["a"] });
    const error = await buildWith([segmentFile("x", sql, header)]).catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toContain(sentence);
    expect((error as Error).message.split("\n")).toHaveLength(1);
  });
});

describe("a preview", () => {
  test("computes a segment now, as the analyst, with size, share and a sample", async () => {
    await put({ 1: ["a"], 2: ["a"], 3: ["a"], 4: [] });
    await buildWith([tagged("a")]);
    const segment = loadSegment(segmentFile("new", "select customer_id from mart.tagged where 'a' = any (tags)"));
    const analyst = new pg.Pool({ connectionString: database.url, options: "-c role=analyst" });
    try {
      expect(await previewSegment(analyst, segment, 2)).toEqual({
        customers: 3,
        share: 0.75,
        sample: [person(1), person(2)],
      });
      const wrong = loadSegment(segmentFile("wrong", "\nselect customer_id from mart.tagged where spent > 3"));
      await expect(previewSegment(analyst, wrong)).rejects.toThrow(
        'sql/segments/wrong.sql:4: column "spent" does not exist.',
      );
      const vault = loadSegment(segmentFile("v", "select customer_id from core.people"));
      await expect(previewSegment(analyst, vault)).rejects.toThrow("permission denied");
      expect(await readSegments(analyst)).toEqual(new Map([["a", { customers: 3, share: 0.75 }]]));
    } finally {
      await analyst.end();
    }
  });

  test("says what to do before anything was built", async () => {
    const segment = loadSegment(segmentFile("a", "select customer_id from mart.tagged"));
    await expect(previewSegment(database.pool, segment)).rejects.toThrow('run "miette build" first');
    expect(await readSegments(database.pool)).toEqual(new Map());
  });
});

describe("the package's segments, goals and customer models", () => {
  test("run for a project without any orders, events and reviews, and are empty", async () => {
    const graph = await packageGraph([], [], {}, [
      {
        name: "revenue",
        measure: "select sum(amount) from mart.fct_orders",
        target: 1,
        direction: "at_least",
        by: "2027-01-01",
        start: null,
        place: { file: "miette.yaml", line: 1, key: "goals[0].measure" },
      },
    ]);
    await build(database.pool, graph);
    expect(await rows("select segment, customers::int, share from mart.dim_segments order by 1")).toEqual(
      ["at_risk", "champions", "saw_a_video_and_did_not_buy", "unhappy"].map((segment) => ({
        segment,
        customers: 0,
        share: null,
      })),
    );
    for (const name of ["customer_metrics", "customer_cohorts", "satisfaction", "satisfaction_drivers", "goal_values"])
      expect(await rows(`select from mart.${name}`)).toHaveLength(0);
    expect(await rows("select value, status from mart.goals")).toEqual([{ value: null, status: "behind" }]);
  });
});
