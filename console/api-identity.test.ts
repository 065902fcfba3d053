import { afterAll, beforeAll, expect, test } from "vitest";
import { challengeWorkflowId, serveWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import { confirmIdentity, makeChallenge, openAgent } from "../warehouse/requests/identity.ts";
import { CANARY, CONTROL, shopRows, writeRows } from "../test/erasure-project.ts";
import { apart, asked, posting, verification, openTestApi, type TestApi } from "./test-api.ts";

let open: TestApi;
let directory: TestApi["directory"];
let pipeline: TestApi["pipeline"];
let api: TestApi["api"];
let mailer: TestApi["mailer"];
let call: TestApi["call"];

beforeAll(async () => {
  open = await openTestApi();
  ({ directory, pipeline, api, mailer, call } = open);
});
afterAll(() => open.close());

const stateOf = async (id: string): Promise<unknown> =>
  (await api.inject({ url: `/requests/${id}`, ...apart })).json<{ request_status: string }>().request_status;

const challenge = (requestId: string, destination = "mailer") =>
  pipeline.client.workflow.execute("challengeSubject", {
    workflowId: challengeWorkflowId(requestId),
    taskQueue: TASK_QUEUE,
    args: [{ requestId, destination, actor: "os:anna" }],
  });
const codeIn = (call: { text: string } | undefined) =>
  JSON.parse(call?.text ?? "{}") as { data: { id: string; to: object; values: { code: string } } };

test("a code goes through a destination to the address that is held longest, not to the one that is asked with, and is in no history", async () => {
  // Somebody has had an address of theirs put into another's account, and asks with it.
  const rows = shopRows();
  const account = { id: 105, phone: null, name: null, country: null };
  await writeRows(directory, { customers: [...(rows["customers"] ?? []), { ...account, email: "mallory@evil.test" }] });
  await pipeline.run();
  const asks = async (email: string) => {
    const request = asked(email, { subject_request_type: "access" });
    await call("POST", "/requests", request);
    return request.subject_request_id;
  };
  const id = await asks("Mallory@evil.test");
  mailer.behave((_call, number) => (number === 0 ? 503 : 200));
  expect(await challenge(id)).toEqual({ state: "accepted" });
  const [first, second] = mailer.calls;
  expect(mailer.calls).toHaveLength(2);
  expect([second?.key, second?.text]).toEqual([first?.key, first?.text]);
  const { data } = codeIn(first);
  expect(data).toMatchObject({ to: { kind: "email", value: "c105@crowd.test" }, template: "identity_check" });

  const { code } = data.values;
  const history = await pipeline.client.workflow.getHandle(challengeWorkflowId(id)).fetchHistory();
  const opened: string[] = [JSON.stringify(history)];
  for (const codec of pipeline.dataConverter.payloadCodecs ?? []) {
    for (const event of history.events ?? []) {
      const inputs = [
        ...(event.activityTaskScheduledEventAttributes?.input?.payloads ?? []),
        ...(event.activityTaskCompletedEventAttributes?.result?.payloads ?? []),
      ];
      for (const payload of await codec.decode(inputs)) opened.push(Buffer.from(payload.data ?? []).toString("utf8"));
    }
  }
  expect(opened.join()).toContain(id);
  expect(opened.join()).not.toMatch(new RegExp(`${code}|evil|c105@crowd`));
  const { rows: events } = await pipeline.pool.query<{ event: string; text: string }>(
    "select event, detail::text as text from privacy.request_events where request_id = $1 order by event_id",
    [id],
  );
  expect(events.map(({ event }) => event)).toEqual(["received", "challenged", "challenge_sent"]);
  const { rows: audit } = await pipeline.pool.query(
    "select actor, purpose, detail from privacy.audit where action = 'request.challenge'",
  );
  expect(audit).toEqual([
    { actor: "os:anna", purpose: "identity_check", detail: { request: id, recipient: "mailer", fields: "email" } },
    { actor: "os:anna", purpose: "identity_check", detail: { request: id, recipient: "mailer", fields: "email" } },
  ]);
  expect(JSON.stringify([events, audit])).not.toMatch(new RegExp(code));
  const { rows: told } = await pipeline.pool.query(
    "select recipient, audience, purpose, operation, state from privacy.recipients where recipient = 'mailer'",
  );
  expect(told).toEqual([
    { recipient: "mailer", audience: "", purpose: "identity_check", operation: "message", state: "done" },
  ]);
  expect((await api.inject(verification(id, code))).statusCode).toBe(200);
  await expect(challenge(id)).rejects.toMatchObject({ cause: { cause: { message: /nobody waits for an identity/ } } });
});

test("nobody who is not held gets a code, and a destination that passes none on says so before one is made", async () => {
  mailer.behave(() => 405);
  const sent = mailer.calls.length;
  const unknown = asked("nobody@unknown.test", { subject_request_type: "access" });
  await call("POST", "/requests", unknown);
  const message = (pattern: RegExp) => ({ cause: { cause: { message: expect.stringMatching(pattern) as string } } });
  const { subject_request_id: id } = unknown;
  await expect(challenge(id)).rejects.toMatchObject(message(/no e-mail address or phone number was held/));
  expect(mailer.calls).toHaveLength(sent);
  await expect(challenge(id, "files")).rejects.toMatchObject(message(/connector csv passes no message on/));
  await expect(challenge(id, "nowhere")).rejects.toMatchObject(message(/there is no such destination/));
  const known = asked("+49 151 88810106", {
    subject_request_type: "access",
    subject_identities: [{ identity_type: "phone", identity_value: "+49 151 88810106" }],
  });
  await call("POST", "/requests", known);
  await expect(challenge(known.subject_request_id)).rejects.toMatchObject(message(/passes no messages on/));
  expect(codeIn(mailer.calls.at(-1)).data.to).toEqual({ kind: "email", value: "c106@crowd.test" });
  const { rows } = await pipeline.pool.query(
    "select codes from privacy.identity_checks where request_id = any($1) order by codes",
    [[id, known.subject_request_id]],
  );
  expect(rows).toEqual([{ codes: 1 }, { codes: 1 }]);
});

test("an address of look-alike letters is another's, whatever is asked with it, and a spelling of the held one gets its code where it is held", async () => {
  mailer.behave(() => 200);
  const sent = mailer.calls.length;
  const challenged = async (email: string) => {
    const request = asked(email, { subject_request_type: "access" });
    expect((await api.inject(posting(request))).statusCode).toBe(201);
    return await challenge(request.subject_request_id).then(
      () => codeIn(mailer.calls.at(-1)).data.to,
      (error: { cause: { cause: { message: string } } }) => error.cause.cause.message,
    );
  };
  // A Cyrillic es, a Cyrillic o for the zero, a Greek omicron in the domain, a domain with Cyrillic letters in its ASCII form.
  const [first, ...others] = [
    "\u0441108@crowd.test",
    "c1\u043e8@crowd.test",
    "c108@cr\u03bfwd.test",
    "c108@xn--rwd-sedn.test",
  ];
  for (const alike of [first as string, ...others]) {
    expect(await challenged(alike)).toMatch(/no e-mail address or phone number was held/);
  }
  const refusal = asked(first as string, { subject_request_type: "opt_out" });
  await api.inject(posting(refusal));
  await expect.poll(() => stateOf(refusal.subject_request_id), { timeout: 60_000 }).toBe("completed");
  expect(mailer.calls).toHaveLength(sent);
  const { rows: said } = await pipeline.pool.query("select from privacy.consent_identifiers where token = $1", [
    pipeline.vault.naming.token("email", "c108@crowd.test"),
  ]);
  expect(said).toEqual([]);
  // Full-width letters and what nobody sees are ways to write the held one.
  for (const spelling of ["\uff43108@crowd.test", "c1\u200b08@crowd\u00ad.test"]) {
    expect(await challenged(spelling)).toEqual({ kind: "email", value: "c108@crowd.test" });
  }
});

test("an agent's word alone moves nothing: the person confirms it at an address that is held, or an operator notes a mandate", async () => {
  mailer.behave(() => 200);
  const ask = async (more: Record<string, unknown>) => {
    const request = asked("c109@crowd.test", { agent: "Agent Zzyzx & Partners", ...more });
    expect((await api.inject(posting(request))).statusCode).toBe(201);
    return request.subject_request_id;
  };
  const optOut = await ask({ subject_request_type: "opt_out", regulation: "ccpa" });
  const access = await ask({ subject_request_type: "access" });
  const { subject_request_id: own, ...rest } = asked("c109@crowd.test", { subject_request_type: "access" });
  await api.inject(posting({ subject_request_id: own, ...rest }));
  expect((await api.inject(posting({ ...rest, subject_request_id: access }))).statusCode).toBe(409);

  const { pool, vault } = pipeline;
  await expect(confirmIdentity(pool, optOut, "document", "os:anna")).rejects.toThrow(/whose mandate is to be shown/);
  await expect(confirmIdentity(pool, own, "signed_permission", "os:anna")).rejects.toThrow(/no mandate to note/);
  expect([await stateOf(optOut), await stateOf(access)]).toEqual(["pending", "pending"]);
  const { rows } = await pool.query<{ text: string }>(
    `select r::text || coalesce(string_agg(e::text, ' '), '') as text from privacy.requests as r
     join privacy.request_events as e using (request_id) where request_id = any($1) group by r`,
    [[optOut, access]],
  );
  expect(rows).toHaveLength(2);
  for (const { text } of rows) {
    expect(text).toMatch(/by_agent/);
    expect(text).not.toMatch(/Zzyzx/);
  }
  expect(await openAgent(pool, vault, access, "os:anna")).toBe("Agent Zzyzx & Partners");
  await expect(openAgent(pool, vault, own, "os:anna")).rejects.toThrow(/by no agent/);

  await confirmIdentity(pool, optOut, "power_of_attorney", "os:anna");
  await pipeline.client.workflow.getHandle(serveWorkflowId(optOut)).signal("identified");
  await challenge(access);
  const { data } = codeIn(mailer.calls.at(-1));
  expect(data.to).toEqual({ kind: "email", value: "c109@crowd.test" });
  expect((await api.inject(verification(access, data.values.code, "127.0.0.8"))).statusCode).toBe(200);
  for (const id of [optOut, access]) {
    await expect.poll(() => stateOf(id), { timeout: 60_000 }).toBe("completed");
  }
  const { rows: audited } = await pool.query(
    "select actor, action, detail from privacy.audit where action in ('request.mandate', 'request.agent') order by action",
  );
  expect(audited).toEqual([
    { actor: "os:anna", action: "request.agent", detail: { request: access } },
    { actor: "os:anna", action: "request.mandate", detail: { request: optOut, proof: "power_of_attorney" } },
  ]);
  await expect(openAgent(pool, vault, access, "os:anna")).rejects.toThrow(/forgotten who asked/);
});

test("five wrong codes, and three codes, are the end of guessing", async () => {
  const { subject_request_id: id, ...rest } = asked(CANARY.email);
  await call("POST", "/requests", { subject_request_id: id, ...rest });
  const { code } = await makeChallenge(pipeline.pool, pipeline.vault, id, "os:anna");
  const wrong = code === "11111111" ? "22222222" : "11111111";
  const answer = (each: string) => api.inject(verification(id, each));
  // Another's code, and a code for a request that nobody has made.
  const other = asked(CONTROL.email);
  await call("POST", "/requests", other);
  const { code: others } = await makeChallenge(pipeline.pool, pipeline.vault, other.subject_request_id, "os:anna");
  if (others !== code) expect((await answer(others)).statusCode).toBe(403);
  const next = id.replace(/.$/, (digit) => ((Number.parseInt(digit, 16) + 1) % 16).toString(16));
  expect((await api.inject(verification(next, code))).statusCode).toBe(403);
  for (let i = 1; i < 5; i += 1) expect((await answer(wrong)).statusCode).toBe(403);
  expect((await answer(code)).statusCode).toBe(403);
  await makeChallenge(pipeline.pool, pipeline.vault, id, "os:anna");
  await makeChallenge(pipeline.pool, pipeline.vault, id, "os:anna");
  await expect(makeChallenge(pipeline.pool, pipeline.vault, id, "os:anna")).rejects.toThrow(/has had 3 codes/);
});
