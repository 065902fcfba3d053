import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { segmentFile, tagged, taggedPeople } from "./test-segments.ts";

const { empty, put, planWith, buildWith, members } = taggedPeople();

describe("segments", () => {
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
        await empty();
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
});
