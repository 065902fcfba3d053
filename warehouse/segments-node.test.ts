import fc from "fast-check";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { build, packageGraph } from "./models/test-warehouse.ts";
import { loadSegment, previewSegment, readSegments } from "./segments.ts";
import { person, segmentFile, tagged, taggedPeople } from "./test-segments.ts";

const { database, rows, empty, put, buildWith, members } = taggedPeople();
const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

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
        await empty();
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
    const analyst = new pg.Pool({ connectionString: database().url, options: "-c role=analyst" });
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
    await expect(previewSegment(database().pool, segment)).rejects.toThrow('run "miette build" first');
    expect(await readSegments(database().pool)).toEqual(new Map());
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
    await build(database().pool, graph);
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
