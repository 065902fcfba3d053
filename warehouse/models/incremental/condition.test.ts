import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/database.ts";
import { Parameters } from "./condition.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query("create schema keys; create table keys.built (key integer)");
});
afterAll(() => database.drop());

const TYPES: [type: string, value: string][] = [
  ["character(3)", "EUR"],
  ["character(1)", "E"],
  ["character varying(4)", "EURO"],
  ["bit(4)", "1010"],
  ["bit varying(6)", "10101"],
  ["numeric(12,2)", "1.50"],
  ["timestamp(3) with time zone", "2027-01-01 00:00:00.125+00"],
  ["interval day to second(2)", "1 day 00:00:01.25"],
  ["text", "a"],
];

test.each(TYPES)("a row is found by its %s, and is gone where the other table has none of it", async (type, value) => {
  await database.pool.query(`drop table keys.built; create table keys.built (key ${type});
    drop table if exists keys.published; create table keys.published (key ${type})`);
  await database.pool.query("insert into keys.published values ($1)", [value]);
  const values = { columns: [[value]], count: 1, hasNull: false };
  const found = async (by: "among" | "gone"): Promise<number> => {
    const parameters = new Parameters();
    const typeOf = (): string => type;
    const condition =
      by === "among"
        ? parameters.among("t", ["key"], typeOf, values)
        : parameters.gone("t", ["key"], typeOf, values, "keys.built");
    const { rows } = await database.pool.query(`select from keys.published as t where ${condition}`, [
      ...parameters.values,
    ]);
    return rows.length;
  };
  expect(await found("among")).toBe(1);
  expect(await found("gone")).toBe(1);
  await database.pool.query("insert into keys.built values ($1)", [value]);
  expect(await found("gone")).toBe(0);
});
