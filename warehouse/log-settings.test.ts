import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { findLogLeaks, logWarning } from "./log-settings.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function leaksUnder(settings: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    if (settings !== "") await client.query(settings);
    return (await findLogLeaks(client)).map(({ setting }) => setting);
  } finally {
    await client.end();
  }
}

test("the embedded server's settings bring no value into its log", async () => {
  expect(await leaksUnder("")).toEqual([]);
  expect(logWarning([])).toBeNull();
});

test.each([
  ["set log_statement = 'all'", ["log_statement"]],
  ["set log_statement = 'mod'", ["log_statement"]],
  ["set log_min_duration_statement = 500", ["log_min_duration_statement"]],
  [
    "set log_min_duration_statement = 0; set log_parameter_max_length = 100",
    ["log_min_duration_statement", "log_parameter_max_length"],
  ],
  ["set log_parameter_max_length = -1", []],
  ["set log_min_duration_sample = 0", ["log_min_duration_sample"]],
  ["set log_min_messages = warning; set log_min_error_statement = error", ["log_min_error_statement"]],
  ["set log_min_messages = error; set log_error_verbosity = 'default'", ["log_error_verbosity"]],
  ["set log_min_messages = error; set log_parameter_max_length_on_error = -1", ["log_parameter_max_length_on_error"]],
  ["set log_error_verbosity = 'default'; set log_min_error_statement = error", []],
  ["load 'auto_explain'", []],
  ["load 'auto_explain'; set auto_explain.log_min_duration = 0", ["auto_explain.log_min_duration"]],
  ["set debug_print_plan = on", ["debug_print_plan"]],
  ["set pgaudit.log = 'read, write'", ["pgaudit.log"]],
  ["set pgaudit.log = 'ddl, role'", []],
])("%s: %s", async (settings, expected) => {
  expect(await leaksUnder(settings)).toEqual(expected);
});

test("the warning names what is set and what to set instead", () => {
  expect(logWarning([{ setting: "log_statement", value: "all", safe: "none" }])).toBe(
    "The warehouse's server would write values of rows into its log (log_statement = all); set log_statement = none.",
  );
});

test("the embedded server starts with settings that keep values out, whatever its configuration file says", async () => {
  const shown = await database.pool.query<{ name: string; setting: string }>(
    "select name, setting from pg_settings where name in ('log_min_messages', 'log_min_error_statement', 'log_error_verbosity', 'log_statement', 'log_min_duration_statement', 'log_parameter_max_length', 'log_parameter_max_length_on_error', 'max_prepared_transactions')",
  );
  expect(Object.fromEntries(shown.rows.map(({ name, setting }) => [name, setting]))).toEqual({
    log_min_messages: "log",
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    log_statement: "none",
    log_min_duration_statement: "-1",
    log_parameter_max_length: "0",
    log_parameter_max_length_on_error: "0",
    max_prepared_transactions: "0",
  });
});
