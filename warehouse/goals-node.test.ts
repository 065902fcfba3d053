import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Goal } from "../domain/project.ts";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { goalsNode, loadGoal } from "./goals-node.ts";
import { loadProjectGraph } from "./models/project-graph.ts";
import { loadParser } from "./models/syntax.ts";
import { build, emptyWarehouse, graphOf, packageGraph, shopProject, sqlFile, touch } from "./models/test-warehouse.ts";

let database: TestDatabase;
const rows = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;

beforeAll(async () => {
  database = await createTestDatabase();
  await loadParser();
});
afterAll(() => database.drop());
beforeEach(async () => {
  await emptyWarehouse(database.pool);
  await rows("create table raw.shop__orders (id integer primary key, amount numeric, word text)");
});

const FILES = [
  sqlFile("models/staging/shop__orders.sql", "-- One row per order.\nselect id, amount, word from raw.shop__orders"),
  sqlFile(
    "models/core/all_orders.sql",
    "-- One row per order.\n-- key: id\nselect id, amount, word from staging.shop__orders",
  ),
  sqlFile("models/mart/orders.sql", "-- One row per order.\n-- key: id\nselect id, amount, word from core.all_orders"),
];

function goal(changes: Partial<Goal> = {}): Goal {
  return {
    name: "revenue",
    measure: "select sum(amount) from mart.orders",
    target: 100,
    direction: "at_least",
    by: "2026-01-31",
    start: null,
    place: { file: "miette.yaml", line: 12, key: "goals[0].measure" },
    ...changes,
  };
}

/** Builds at noon of a day of January 2026 with one order of that amount. */
async function buildOn(day: number, amount: number | null, ...goals: Goal[]) {
  await rows("truncate raw.shop__orders");
  await rows("insert into raw.shop__orders values (1, $1, 'x')", [amount]);
  await touch(database.pool, "raw.shop__orders");
  const graph = await graphOf(FILES, ["orders"], { nodes: [goalsNode(goals.map(loadGoal))] });
  const now = new Date(Date.UTC(2026, 0, day, 12));
  return (await build(database.pool, graph, { now })).published;
}

const standing = async () =>
  (
    await rows(
      `select value::float8, started_on::text as since, round(pace, 4)::float8 as pace, round(expected, 4)::float8 as expected, status
       from mart.goals order by goal`,
    )
  )[0];

describe("a goal", () => {
  test("has no pace on its first day, then the pace since, and what it leads to on the day it is set for", async () => {
    await buildOn(1, 10, goal());
    expect(await standing()).toEqual({ value: 10, since: "2026-01-01", pace: null, expected: null, status: "behind" });
    await buildOn(11, 20, goal());
    expect(await standing()).toEqual({ value: 20, since: "2026-01-01", pace: 1, expected: 40, status: "behind" });
    await buildOn(21, 70, goal());
    expect(await standing()).toEqual({ value: 70, since: "2026-01-01", pace: 3, expected: 100, status: "on track" });
    await buildOn(22, 101, goal());
    expect(await standing()).toMatchObject({ value: 101, status: "met" });
    expect(await rows("select date::text, value::float8 from mart.goal_values order by date")).toEqual([
      { date: "2026-01-01", value: 10 },
      { date: "2026-01-11", value: 20 },
      { date: "2026-01-21", value: 70 },
      { date: "2026-01-22", value: 101 },
    ]);
  });

  test("is judged, once its day has passed, by what was measured until then", async () => {
    await buildOn(30, 99, goal());
    await buildOn(32, 150, goal());
    expect(await standing()).toMatchObject({ value: 99, status: "missed" });
  });

  test("may have a start of its own, so that it has a pace from the first build on", async () => {
    await buildOn(11, 40, goal({ start: { date: "2026-01-01", value: 0 } }));
    expect(await standing()).toEqual({ value: 40, since: "2026-01-01", pace: 4, expected: 120, status: "on track" });
  });

  test("may be a bound to stay within", async () => {
    const bound = goal({ direction: "at_most", target: 5 });
    await buildOn(1, 9, bound);
    expect(await standing()).toMatchObject({ status: "behind" });
    await buildOn(2, 8, bound);
    expect(await standing()).toMatchObject({ pace: -1, expected: -21, status: "on track" });
    await buildOn(3, 5, bound);
    expect(await standing()).toMatchObject({ status: "met" });
  });

  test("without anything to measure has no value and is not met", async () => {
    await buildOn(1, null, goal());
    expect(await standing()).toEqual({
      value: null,
      since: "2026-01-01",
      pace: null,
      expected: null,
      status: "behind",
    });
    expect(await rows("select from mart.goal_values")).toHaveLength(0);
    await buildOn(2, 5, goal({ measure: "select 'NaN'::numeric as x from mart.orders" }));
    expect(await standing()).toMatchObject({ value: null });
  });

  test("begins anew when its measure becomes another one, but not when it is only laid out anew", async () => {
    await buildOn(1, 10, goal());
    await buildOn(2, 11, goal({ measure: "select sum(amount)\n  from mart.orders\n" }));
    expect(await standing()).toMatchObject({ since: "2026-01-01", pace: 1 });
    await buildOn(3, 11, goal({ measure: "select count(*) from mart.orders" }));
    expect(await standing()).toMatchObject({ value: 1, since: "2026-01-03", pace: null });
    expect(await rows("select from mart.goal_values")).toHaveLength(1);
  });

  test("goes with its values when it is taken out", async () => {
    await buildOn(1, 10, goal(), goal({ name: "other" }));
    await buildOn(2, 10, goal({ name: "other" }));
    expect(await rows("select goal, count(*)::int as n from mart.goal_values group by 1")).toEqual([
      { goal: "other", n: 2 },
    ]);
  });

  test("that did not change on a day writes nothing in a second build of the day", async () => {
    await buildOn(1, 10, goal());
    const again = await buildOn(1, 10, goal());
    expect(again!.relations.filter((r) => r.inserted + r.updated + r.deleted > 0)).toEqual([]);
    const graph = await graphOf(FILES, ["orders"], { nodes: [goalsNode([loadGoal(goal())])] });
    const { published } = await build(database.pool, graph, { full: true, now: new Date("2026-01-01T20:00Z") });
    expect(published!.relations.filter((r) => r.inserted + r.updated + r.deleted > 0)).toEqual([]);
  });

  test("is there with its comments, and the tables are empty without goals", async () => {
    await buildOn(1, 10);
    expect(await rows("select * from mart.goals")).toEqual([]);
    expect(await rows("select * from mart.goal_values")).toEqual([]);
  });
});

describe("a goal that is wrong is told in one sentence with its place", () => {
  const place = "miette.yaml:12 goals[0].measure: ";

  test.each([
    ["select id from mart.orders", "returns more than one row; a goal's select returns one number."],
    ["select amount from mart.orders where id < 0", "returns no row; a goal's select returns one number."],
    ["select min(word) from mart.orders", "returns no number; a goal's select returns one number."],
    ["select true", "returns no number; a goal's select returns one number."],
    ["select count(*), 1 as one from mart.orders", "returns 2 columns; a goal's select returns one number."],
    ["select o.* from mart.orders as o where o.id = 1", "returns 3 columns; a goal's select returns one number."],
    ["select sum(amounts) from mart.orders", 'column "amounts" does not exist'],
    ["select sum(word) from mart.orders", "function sum(text) does not exist"],
    ["select word::integer from mart.orders", "a text is not of the type it is cast to"],
  ])("%s", async (measure, sentence) => {
    await rows("insert into raw.shop__orders values (2, 5, 'private words')");
    const failing = async () => {
      await rows("insert into raw.shop__orders values (3, 5, 'more')");
      await touch(database.pool, "raw.shop__orders");
      const graph = await graphOf(FILES, ["orders"], { nodes: [goalsNode([loadGoal(goal({ measure }))])] });
      await build(database.pool, graph);
    };
    const error = await failing().catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toContain(sentence);
    expect((error as Error).message).not.toContain("private");
    expect((error as Error).message.startsWith(place)).toBe(true);
    expect((error as Error).message.split("\n")).toHaveLength(1);
  });

  test.each([
    ["select count(*) from vault.identifiers", "a segment or goal reads mart only, not vault.identifiers."],
    ["select count(*) from core.people", "a segment or goal reads mart only, not core.people."],
    ["select count(*) from mart.fct_order", "there is no relation mart.fct_order; did you mean mart.fct_orders?"],
    ["select count(*) from orders", '"orders" has no schema'],
    ["select count(*) from mart.fct_orders; select 1", "holds more than one statement; write one select."],
    ["delete from mart.fct_orders", "write one select, not delete."],
    ["select count(*) form mart.fct_orders", "syntax error"],
    ["select count(*) from mart.fct_orders where order_date < current_date", "use ops.as_of()"],
    ["select pg_sleep(10)", "pg_sleep()"],
  ])("before anything is built: %s", async (measure, sentence) => {
    const error = await packageGraph([], [], {}, [goal({ measure })]).catch((thrown: unknown) => thrown as Error);
    expect((error as Error).message).toContain(sentence);
    expect((error as Error).message.startsWith(place)).toBe(true);
  });

  test("together with whatever else is wrong", async () => {
    const wrong = [goal({ measure: "select 1; select 2" }), goal({ name: "b", measure: "select now()" })];
    const files = [
      sqlFile("segments/nobody.sql", "-- Nobody.\nselect 1 as one"),
      sqlFile("checks/a.sql", "-- A.\nselect"),
    ];
    const error = await loadProjectGraph(files, { ...shopProject([]), goals: wrong, survivorship: [] }).catch(
      (e: unknown) => e as Error,
    );
    expect((error as Error).message.split("\n").length).toBeGreaterThanOrEqual(3);
  });
});
