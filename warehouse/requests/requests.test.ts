import { afterAll, beforeAll, expect, test } from "vitest";
import type { Project } from "../../domain/project.ts";
import { createTestDatabase, type TestDatabase } from "../../test/database.ts";
import { openTestVault } from "../../test/landing.ts";
import { inTransaction } from "../database.ts";
import type { Vault } from "../vault.ts";
import {
  forgetSubject,
  listRequests,
  moveRequest,
  openIdentifiers,
  openSealed,
  readRequest,
  receiveRequest,
  sealForRequest,
} from "./store.ts";
import { takeIn, type Intake } from "./intake.ts";
import { readSubject } from "./subject.ts";

const field = (personal: string, identifier: string) => ({ type: "string", personal, identifier });
const project = {
  defaultCountry: "DE",
  timeZone: "UTC",
  sources: [
    {
      name: "shop",
      streams: [
        { schema: { properties: { email: field("email", "email"), no: field("account_id", "customer_id") } } },
        { schema: { properties: { contact: field("email", "contact_email"), phone: field("phone", "phone") } } },
      ],
    },
  ],
} as unknown as Project;

let database: TestDatabase;
let vault: Vault;
beforeAll(async () => {
  database = await createTestDatabase();
  vault = await openTestVault(database.pool);
});
afterAll(() => database.drop());

const named = { emails: [], phones: [], ids: [] };
const receive = (identifiers: { kind: string; canonical: string }[]) =>
  receiveRequest(database.pool, vault, {
    kind: "erasure",
    channel: "cli",
    jurisdiction: "EU",
    dueAt: null,
    notBefore: null,
    identifiers,
    actor: "test",
  });

test("a person is named by all kinds of identifiers that hold what was given, in canonical form", () => {
  const asked = { emails: [" Zoë.Canary@Victim.test "], phones: ["01512 3456789"], ids: ["customer_id:C-7"] };
  expect(readSubject(project, asked)).toEqual([
    { kind: "email", canonical: "zoë.canary@victim.test" },
    { kind: "contact_email", canonical: "zoë.canary@victim.test" },
    { kind: "phone", canonical: "+4915123456789" },
    { kind: "customer_id", canonical: "C-7" },
  ]);
});

test("what can't be an identifier, an unknown kind and an empty request are told without the value", () => {
  const broken = () => readSubject(project, { emails: ["canary"], phones: ["12"], ids: ["shoe:44", "canary"] });
  expect(broken).toThrow(
    /--email: is no email\n--phone: is no phone\n--id: .*contact_email, customer_id, email, phone/,
  );
  expect(broken).not.toThrow(/canary\b(?!_)/);
  expect(() => readSubject(project, named)).toThrow(/give --email, --phone or --id/);
});

test("a request is sealed at intake: the warehouse holds no identifier and no token of it", async () => {
  const requestId = await receive([{ kind: "email", canonical: "canary-7f3a@victim.test" }]);
  const { rows } = await database.pool.query<{ row: string }>("select r::text as row from privacy.requests as r");
  const token = vault.naming.token("email", "canary-7f3a@victim.test");
  expect(rows.map(({ row }) => row).join()).not.toMatch(new RegExp(`canary|${token}|${token.slice(6)}`));
  expect(await openIdentifiers(database.pool, vault, requestId)).toEqual([
    { kind: "email", canonical: "canary-7f3a@victim.test" },
  ]);
  expect((await listRequests(database.pool)).map((each) => each.requestId)).toContain(requestId);
});

test("a request moves on from the states that lead there, and every move is an event that nobody can alter", async () => {
  const requestId = await receive([{ kind: "email", canonical: "a@victim.test" }]);
  const move = (from: "received" | "planned", to: "planned" | "approved") =>
    inTransaction(database.pool, (client) => moveRequest(client, requestId, [from], to, "os:anna"));
  expect(await move("planned", "approved")).toBe(false);
  expect(await move("received", "planned")).toBe(true);
  expect(await move("planned", "approved")).toBe(true);
  expect(await readRequest(database.pool, requestId)).toMatchObject({ state: "approved", kind: "erasure" });
  const { rows } = await database.pool.query(
    "select actor, event from privacy.request_events where request_id = $1 order by event_id",
    [requestId],
  );
  expect(rows).toEqual([
    { actor: "test", event: "received" },
    { actor: "os:anna", event: "planned" },
    { actor: "os:anna", event: "approved" },
  ]);
  for (const change of ["update privacy.request_events set actor = 'x'", "delete from privacy.request_events"]) {
    await expect(database.pool.query(change)).rejects.toThrow(/only inserted/);
  }
  await expect(readRequest(database.pool, "no id")).rejects.toThrow(/no request of this id/);
});

test("what a request sealed opens for nobody once its subject is forgotten", async () => {
  const requestId = await receive([{ kind: "email", canonical: "b@victim.test" }]);
  const scope = await sealForRequest(database.pool, vault, requestId, "scope", { tokens: ["email_1"] });
  await database.pool.query("update privacy.requests set scope = $2 where request_id = $1", [requestId, scope]);
  expect(await openSealed(database.pool, vault, requestId, "scope")).toEqual({ tokens: ["email_1"] });
  await forgetSubject(database.pool, vault, requestId);
  expect(await openIdentifiers(database.pool, vault, requestId)).toEqual([]);
  const { rows } = await database.pool.query("select from vault.keys where purpose = $1", [`request:${requestId}`]);
  expect(rows).toEqual([]);
});

const ask = (intake: Partial<Intake>) =>
  takeIn(database.pool, vault, project, {
    kind: "objection",
    channel: "api",
    jurisdiction: "EU",
    named: { emails: ["a@victim.test"], phones: [], ids: [] },
    actor: "test",
    ...intake,
  });

test("every kind of request is taken in by one way: with its law's clock, its terms and the workflow that carries it out", async () => {
  const objection = await ask({ terms: { purposes: ["marketing", "marketing"] } });
  expect(objection).toMatchObject({
    passphrase: null,
    workflow: { type: "applyChoice", workflowId: `request:${objection.requestId}` },
  });
  const stored = await readRequest(database.pool, objection.requestId);
  expect(stored).toMatchObject({ kind: "objection", channel: "api", terms: { purposes: ["marketing"] } });
  expect(new Date(stored.dueAt as string).toISOString()).toBe(objection.dueAt);
  const days = (Date.parse(objection.dueAt) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(27);
  expect(days).toBeLessThan(33);
  expect((await ask({ kind: "erasure" })).workflow.type).toBe("eraseSubject");
});

test("what nobody may ask is told at intake, all of it at once, and nothing is stored", async () => {
  const count = async () => (await listRequests(database.pool)).length;
  const before = await count();
  await expect(ask({ kind: "consent" })).rejects.toThrow(/given for a purpose/);
  await expect(ask({ kind: "erasure", terms: { purposes: ["marketing"] } })).rejects.toThrow(/has no purposes/);
  await expect(ask({ terms: { purposes: ["x'; drop table"], noticeVersion: "1" } })).rejects.toThrow(
    /only a consent has a notice[^]*a purpose is a word/,
  );
  await expect(ask({ jurisdiction: "Mars" })).rejects.toThrow(/no clock for this jurisdiction/);
  expect(await count()).toBe(before);
});
