import { afterAll, beforeAll, expect, test } from "vitest";
import { statusBody } from "../../domain/opendsr.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault } from "../../test/landing.ts";
import { readReceipts, verifyReceipts } from "../receipts.ts";
import type { Vault } from "../vault.ts";
import { openClocks } from "./clocks.ts";
import { refuseRequest } from "./refuse.ts";
import { moveRequest, openIdentifiers, readRequest, receiveRequest } from "./store.ts";
import { inTransaction } from "../database.ts";

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());

const receive = (jurisdiction: string | null) =>
  receiveRequest(database.pool, vault, {
    kind: "erasure",
    channel: "api",
    jurisdiction,
    dueAt: null,
    notBefore: null,
    identifiers: [{ kind: "email", canonical: "canary-7f3a@victim.test" }],
    actor: "api",
  });
const refuse = (requestId: string, reason: string) =>
  refuseRequest(database.pool, vault, { requestId, reason, actor: "os:anna" });

test("a refusal needs a reason that the law knows", async () => {
  const requestId = await receive("EU");
  for (const reason of ["", "we do not want to", "constructor"]) {
    await expect(refuse(requestId, reason)).rejects.toThrow(/a refusal says why; give one of unfounded, excessive,/);
  }
  expect(await readRequest(database.pool, requestId)).toMatchObject({ state: "received", terms: {} });
});

test("a refusal ends the clock, says why and where to complain by the law, is audited and proven, and forgets who asked", async () => {
  const [european, californian] = [await receive("EU"), await receive("US-CA")];
  expect((await openClocks(database.pool, "UTC")).map((each) => each.requestId)).toContain(european);
  const refused = await refuse(european, "legal_obligation");
  expect(refused.complaint).toMatch(/supervisory authority/);
  // Done again, as after an interruption, it is the same refusal; another one is not.
  expect(await refuse(european, "legal_obligation")).toEqual(refused);
  await expect(refuse(european, "excessive")).rejects.toThrow(
    /the request is refused, so it can't be refused any more/,
  );
  expect((await refuse(californian, "unfounded")).complaint).toMatch(/California Privacy Protection Agency/);

  const stored = await readRequest(database.pool, european);
  expect(stored.state).toBe("refused");
  expect(statusBody(stored)).toMatchObject({
    request_status: "cancelled",
    extensions: { miette: { refusal: { reason: "legal_obligation", complaint: refused.complaint } } },
  });
  expect((await openClocks(database.pool, "UTC")).map((each) => each.requestId)).not.toContain(european);
  expect(await openIdentifiers(database.pool, vault, european)).toEqual([]);
  const [receipt, ...others] = verifyReceipts(await readReceipts(database.pool, european));
  expect(others).toEqual([]);
  expect(receipt?.statement).toMatchObject({ outcome: "refused", reason: "legal_obligation", why: refused.why });
  const { rows } = await database.pool.query(
    "select actor, detail ->> 'reason' as reason from privacy.audit where action = 'request.refuse' and detail ->> 'request' = $1",
    [european],
  );
  expect(rows).toEqual([{ actor: "os:anna", reason: "legal_obligation" }]);
});

test("what is carried out or has ended can't be refused", async () => {
  const requestId = await receive("EU");
  await inTransaction(database.pool, (client) => moveRequest(client, requestId, ["received"], "running", "test"));
  await expect(refuse(requestId, "unfounded")).rejects.toThrow(
    /the request is running, so it can't be refused any more/,
  );
});
