import { type ApplicationFailure, CancelledFailure } from "@temporalio/common";
import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { Rejected, Throttled, Unavailable } from "../connectors/errors.ts";
import { CodedError, UserError } from "../domain/errors.ts";
import { toFailure } from "./failures.ts";

const CANARY = "canary-7f3a@victim.test";
let lines = "";
const log = pino({ level: "trace" }, { write: (line: string) => void (lines += line) });

let client: pg.Client;
beforeAll(async () => {
  client = new pg.Client({ connectionString: `${inject("postgresUrl")}/postgres` });
  await client.connect();
});
afterAll(() => client.end());

test("what a person did wrong is told as it stands, and not tried again", () => {
  const failure = toFailure(new UserError("there is no source shop", { file: "miette.yaml" }), log);
  expect(failure).toMatchObject({
    message: "miette.yaml: there is no source shop",
    type: "user_error",
    nonRetryable: true,
  });
});

test("a connector's error keeps its class: whether to try again, and after how long", () => {
  expect(toFailure(new Unavailable("the host is away"), log)).toMatchObject({
    type: "source_unavailable",
    nonRetryable: false,
  });
  expect(toFailure(new Rejected("the file is gone"), log)).toMatchObject({
    type: "source_rejected",
    nonRetryable: true,
  });
  expect(toFailure(new Throttled("slow down", { retryAfterMs: 37_000 }), log)).toMatchObject({
    type: "source_throttled",
    nextRetryDelay: 37_000,
  });
  expect(toFailure(new CodedError("cursor_conflict", "moved", { retryable: true }), log)).toMatchObject({
    type: "cursor_conflict",
    nonRetryable: false,
  });
});

test("a database's error becomes a code: neither the failure nor the log holds the value that it quotes", async () => {
  const error: unknown = await client.query("select $1::text::integer", [CANARY]).catch((cause: unknown) => cause);
  expect(String(error)).toContain(CANARY);
  const failure = toFailure(error, log) as ApplicationFailure;
  expect(failure).toMatchObject({ type: "warehouse_statement", nonRetryable: true });
  expect(failure.message).toContain("22P02");
  expect(JSON.stringify(failure) + failure.message + failure.stack + lines).not.toContain(CANARY);
  expect(lines).toMatch(/"detail":"[0-9a-f-]{36}"/);
});

test("any other error leaves without its message, but with where it happened", () => {
  const failure = toFailure(new TypeError(`can't read ${CANARY}`), log) as ApplicationFailure;
  expect(failure).toMatchObject({ type: "internal", nonRetryable: false });
  expect(failure.message + failure.stack + lines).not.toContain(CANARY);
  expect(lines).toContain("failures.test.ts");
});

test("a warehouse that can't be reached is tried again", async () => {
  const away = new pg.Client({ host: "127.0.0.1", port: 1 });
  const error: unknown = await away.connect().catch((cause: unknown) => cause);
  expect(toFailure(error, log)).toMatchObject({ type: "warehouse_unavailable", nonRetryable: false });
});

test("an activity that is cancelled ends as cancelled", () => {
  expect(toFailure(AbortSignal.abort().reason, log)).toBeInstanceOf(CancelledFailure);
});
