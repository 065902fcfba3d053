import { createPublicKey, randomUUID, verify } from "node:crypto";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import { BlobReader, TextWriter, ZipReader, type FileEntry } from "@zip.js/zip.js";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, expect, test } from "vitest";
import { challengeWorkflowId, serveWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import { confirmIdentity, makeChallenge, openAgent } from "../warehouse/requests/identity.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "../test/erasure-project.ts";
import { createNamespace, openPipeline, type Pipeline } from "../test/pipeline.ts";
import { receiveHttp } from "../test/receivers.ts";
import { receiveWebhooks, WEBHOOK_SECRET } from "../test/webhook-receiver.ts";
import { createApi } from "./api.ts";

const TOKEN = "t".repeat(40);
/** Answers of each kind whose times are compared. */
const PAIRS = 60;
let directory: string;
let pipeline: Pipeline;
let api: FastifyInstance;
let base: string;
let controller: Awaited<ReturnType<typeof receiveHttp>>;
let mailer: Awaited<ReturnType<typeof receiveWebhooks>>;
const lines: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-api-"));
  await writeErasureProject(directory);
  await writeRows(directory, shopRows());
  mailer = await receiveWebhooks();
  await appendFile(
    join(directory, "miette.yaml"),
    `destinations:
  mailer: { connector: webhook, config: { url: "${mailer.url}", secret: "${WEBHOOK_SECRET}" } }
  files: { connector: csv, config: { directory: outbox } }
`,
  );
  pipeline = await openPipeline(directory);
  await pipeline.run();
  controller = await receiveHttp();
  const { pool, vault, client } = pipeline;
  api = await createApi({
    pool,
    vault,
    client,
    project: await pipeline.project(),
    token: TOKEN,
    callbackOrigins: [new URL(controller.url).origin],
    log: (line) => lines.push(line),
  });
  base = await api.listen({ port: 0, host: "127.0.0.1" });
});
afterAll(async () => {
  await api.close();
  await controller.close();
  await mailer.close();
  await pipeline.close();
  await rm(directory, { recursive: true });
});

const call = (method: string, path: string, body?: unknown, token = TOKEN): Promise<Response> =>
  fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const asked = (email: string, more: Record<string, unknown> = {}) => ({
  regulation: "gdpr",
  api_version: "2.0",
  subject_request_id: randomUUID(),
  subject_request_type: "erasure",
  submitted_time: "2026-03-01T12:00:00Z",
  subject_identities: [{ identity_type: "email", identity_value: email, identity_format: "raw" }],
  ...more,
});
const statusOf = async (id: string): Promise<unknown> =>
  ((await (await call("GET", `/requests/${id}`)).json()) as { request_status: string }).request_status;

test("a request by HTTP waits for the identity, goes on with the code that was sent, and its end is told, signed", async () => {
  const discovered = (await (await call("GET", "/discovery", undefined, "")).json()) as Record<string, unknown>;
  expect(discovered).toMatchObject({
    api_version: "2.0",
    supported_identities: expect.arrayContaining([{ identity_type: "email", identity_format: "raw" }]),
    supported_subject_request_types: expect.arrayContaining(["erasure", "opt_out"]),
  });
  const key = createPublicKey(await (await call("GET", "/certificate", undefined, "")).text());
  const isSigned = (body: string, signature: string | null | undefined) =>
    verify(null, Buffer.from(body), key, Buffer.from(signature ?? "", "base64"));

  const request = asked(CANARY.email, { status_callback_urls: [controller.url] });
  const id = request.subject_request_id;
  const response = await call("POST", "/requests", request);
  expect(response.status).toBe(201);
  const text = await response.text();
  expect(isSigned(text, response.headers.get("x-opendsr-signature"))).toBe(true);
  const receipt = JSON.parse(text) as Record<string, string>;
  expect(receipt).toMatchObject({ subject_request_id: id, expected_completion_time: expect.any(String) });
  expect(JSON.parse(Buffer.from(receipt["encoded_request"] ?? "", "base64").toString())).toEqual(request);
  // The same call again, whose first answer was lost, is no second request.
  expect((await call("POST", "/requests", request)).status).toBe(201);
  expect((await call("POST", "/requests", { ...request, subject_request_type: "opt_out" })).status).toBe(409);
  expect(await statusOf(id)).toBe("pending");

  const wrong = () => call("POST", `/requests/${id}/verification`, { code: "00000000" });
  expect((await wrong()).status).toBe(403);
  const { code } = await makeChallenge(pipeline.pool, pipeline.vault, id, "os:anna");
  if (code !== "00000000") expect((await wrong()).status).toBe(403);
  expect((await call("POST", `/requests/${id}/verification`, { code })).status).toBe(200);
  expect((await call("POST", `/requests/${id}/verification`, { code })).status).toBe(403);
  await expect.poll(() => statusOf(id), { timeout: 60_000 }).toBe("in_progress");
  const planned = "select from privacy.requests where request_id = $1 and state = 'planned'";
  await expect.poll(async () => (await pipeline.pool.query(planned, [id])).rowCount, { timeout: 60_000 }).toBe(1);
  const cancelled = await call("DELETE", `/requests/${id}`);
  expect(cancelled.status).toBe(202);
  await expect.poll(() => controller.received.length, { timeout: 60_000 }).toBe(1);
  const [told] = controller.received;
  expect(JSON.parse(told?.body.toString() ?? "")).toMatchObject({
    subject_request_id: id,
    request_status: "cancelled",
  });
  expect(isSigned(told?.body.toString() ?? "", told?.headers["x-opendsr-signature"] as string)).toBe(true);
  expect((await call("DELETE", `/requests/${id}`)).status).toBe(409);
});

test("access by HTTP waits for the identity too; its passphrase is in the first answer alone, and its archive is taken once", async () => {
  const request = asked("c104@crowd.test", { subject_request_type: "access" });
  const id = request.subject_request_id;
  const passphraseOf = async () =>
    ((await (await call("POST", "/requests", request)).json()) as { extensions?: { miette: { passphrase: string } } })
      .extensions?.miette.passphrase;
  const password = (await passphraseOf()) as string;
  expect(password).toMatch(/^\S{20,}$/);
  const take = (of: string) => call("GET", `/requests/${of}/archive`);
  const bodyOf = async () => (await (await call("GET", `/requests/${id}`)).json()) as Record<string, unknown>;
  const early = await take(id);
  expect([early.status, (await bodyOf())["results_url"]]).toEqual([404, undefined]);
  expect(await passphraseOf()).toBeUndefined();
  const archive = "select from privacy.archives where request_id = $1 and finished_at is not null";
  expect((await pipeline.pool.query(archive, [id])).rowCount).toBe(0);
  await confirmIdentity(pipeline.pool, id, "document", "os:anna");
  await pipeline.client.workflow.getHandle(serveWorkflowId(id)).signal("identified");
  await expect.poll(() => statusOf(id), { timeout: 60_000 }).toBe("completed");
  expect((await pipeline.pool.query(archive, [id])).rowCount).toBe(1);
  const { results_url: url } = await bodyOf();
  expect(url).toBe(`${base}/requests/${id}/archive`);
  expect((await fetch(url as string)).status).toBe(401);
  expect((await call("HEAD", `/requests/${id}/archive`)).status).toBe(404);

  // Two who take it at once: one of them gets it. Whoever is cut off may begin anew.
  const held = await pipeline.pool.connect();
  await held.query("begin");
  await held.query("select from privacy.archives where request_id = $1 for update", [id]);
  expect((await take(id)).status).toBe(404);
  await held.query("rollback");
  held.release();
  const given = await take(id);
  expect([given.status, given.headers.get("content-type")]).toEqual([200, "application/zip"]);
  const zip = new ZipReader(new BlobReader(await given.blob()), { useWebWorkers: false });
  const data = (await zip.getEntries()).find(({ filename }) => filename === "data.json") as FileEntry;
  expect(JSON.parse(await data.getData(new TextWriter(), { password }))).toMatchObject({ about: { request: id } });
  await expect.poll(async () => (await pipeline.pool.query(archive, [id])).rowCount).toBe(0);
  expect((await bodyOf())["results_url"]).toBeUndefined();
  const answers = await Promise.all([id, randomUUID()].map(async (each) => await (await take(each)).text()));
  expect(new Set([...answers, await early.text()]).size).toBe(1);
  const { rows: audited } = await pipeline.pool.query(
    "select actor, detail from privacy.audit where action = 'archive.take'",
  );
  expect(audited).toEqual([{ actor: "api", detail: { request: id } }]);
});

test("a correction by HTTP waits for the identity, and a value that can't be one is told at once, without the value", async () => {
  const right = { "shop.customers.country": "AT", "shop.customers.phone": null };
  const request = asked("c115@crowd.test", { subject_request_type: "correction", values: right });
  const id = request.subject_request_id;
  expect((await api.inject(posting(request))).statusCode).toBe(201);
  await confirmIdentity(pipeline.pool, id, "document", "os:anna");
  await pipeline.client.workflow.getHandle(serveWorkflowId(id)).signal("identified");
  await expect.poll(() => stateOf(id), { timeout: 60_000 }).toBe("completed");
  const { rows } = await pipeline.pool.query("select country, phone from raw.shop__customers where email = $1", [
    pipeline.vault.naming.token("email", "c115@crowd.test"),
  ]);
  expect(rows).toEqual([{ country: "AT", phone: null }]);
  const refused = async (more: Record<string, unknown>) => {
    const { statusCode, body } = await api.inject(posting(asked("c115@crowd.test", more)));
    expect(body).not.toMatch(/Zzyzx/);
    return [statusCode, JSON.parse(body).error as string];
  };
  const correction = (values?: object) => refused({ subject_request_type: "correction", ...(values && { values }) });
  expect(await correction({ "shop.orders.amount": "Zzyzx" })).toEqual([
    422,
    expect.stringMatching(/amount.*by its schema/),
  ]);
  expect(await correction({ "shop.orders.shoe": "Zzyzx" })).toEqual([
    422,
    expect.stringMatching(/no field of a stream/),
  ]);
  expect(await correction()).toEqual([422, expect.stringMatching(/names what is wrong/)]);
  expect(await correction({ "shop.customers.country": 7 })).toEqual([400, expect.stringMatching(/must be string/)]);
  expect(await refused({ subject_request_type: "access", values: right })).toEqual([
    422,
    expect.stringMatching(/corrects nothing/),
  ]);
});

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
const verification = (id: string, code: string, remoteAddress = "127.0.0.9") => ({
  method: "POST" as const,
  url: `/requests/${id}/verification`,
  headers: { authorization: `Bearer ${TOKEN}` },
  payload: { code },
  // Another caller than the other test's, whose calls are counted apart.
  remoteAddress,
});

/** Calls beside those that other tests' callers have made, which are counted apart. */
const apart = { headers: { authorization: `Bearer ${TOKEN}` }, remoteAddress: "127.0.0.7" };
const posting = (payload: object) => ({ method: "POST" as const, url: "/requests", payload, ...apart });
const stateOf = async (id: string): Promise<unknown> =>
  (await api.inject({ url: `/requests/${id}`, ...apart })).json<{ request_status: string }>().request_status;

test("an opt-out needs no identity; somebody unknown is answered as somebody known is, and no answer or log has a value", async () => {
  const optOut = asked("c101@crowd.test", { subject_request_type: "opt_out", regulation: "ccpa" });
  await call("POST", "/requests", optOut);
  await expect.poll(() => statusOf(optOut.subject_request_id), { timeout: 60_000 }).toBe("completed");
  const answers = await Promise.all(
    ["c102@crowd.test", "nobody@unknown.test"].map(async (email) => {
      const body = asked(email);
      const response = await call("POST", "/requests", body);
      const { encoded_request, ...answer } = (await response.json()) as Record<string, unknown>;
      expect(encoded_request).toEqual(expect.any(String));
      expect(answer["subject_request_id"]).toBe(body.subject_request_id);
      const shape = Object.keys(answer).join();
      return { status: response.status, shape, state: await statusOf(body.subject_request_id) };
    }),
  );
  expect(answers[0]).toEqual(answers[1]);
  expect(lines.join()).not.toMatch(/crowd|unknown\.test/);
});

test("who is unknown is answered in the same time as who is known", async () => {
  const { address, namespace } = await createNamespace();
  const connection = await Connection.connect({ address });
  const { pool, vault, dataConverter } = pipeline;
  // Nobody works here: what workflows do later is nothing of the answer.
  const quiet = await createApi({
    pool,
    vault,
    client: new Client({ connection, namespace, dataConverter }),
    project: await pipeline.project(),
    token: TOKEN,
    callbackOrigins: [],
    log: (line) => lines.push(line),
  });
  const answer = async (email: string, caller: number): Promise<number> => {
    const payload = asked(email);
    const headers = { authorization: `Bearer ${TOKEN}` };
    const remoteAddress = `127.1.0.${caller}`;
    const before = performance.now();
    const post = await quiet.inject({ method: "POST", url: "/requests", headers, payload, remoteAddress });
    const get = await quiet.inject({ url: `/requests/${payload.subject_request_id}`, headers, remoteAddress });
    const milliseconds = performance.now() - before;
    expect([post.statusCode, get.statusCode]).toEqual([201, 200]);
    return milliseconds;
  };
  try {
    const [known, unknown]: [number[], number[]] = [[], []];
    for (let pair = 0; pair < PAIRS + 5; pair += 1) {
      const both = [
        async () => known.push(await answer(`c${100 + (pair % 30)}@crowd.test`, pair % 4)),
        async () => unknown.push(await answer(`c${100 + (pair % 30)}@nobody.test`, pair % 4)),
      ];
      // In turns, so that a machine that grows slower does so to both; the first answers are slow to everybody.
      for (const each of pair % 2 ? both : both.toReversed()) await each();
    }
    const [ours, theirs] = [known.slice(5), unknown.slice(5)];
    const slower = ours.flatMap((a) => theirs.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)));
    const share = slower.reduce<number>((sum, each) => sum + each, 0) / slower.length;
    // How often a known one's answer takes longer: half the times, give or take 0.053 (Mann and Whitney); four and a half of these.
    expect(Math.abs(share - 0.5)).toBeLessThan(0.24);
  } finally {
    await quiet.close();
    await connection.close();
  }
});

test("a call without its token, too large, malformed, or with a callback to elsewhere is refused without a value", async () => {
  const body = asked("c103@crowd.test");
  expect((await call("POST", "/requests", body, "x".repeat(40))).status).toBe(401);
  expect((await call("GET", `/requests/${body.subject_request_id}`, undefined, "")).status).toBe(401);
  const refused = async (each: unknown): Promise<[number, string]> => {
    const response = await call("POST", "/requests", each);
    return [response.status, await response.text()];
  };
  expect((await refused({ ...body, padding: "x".repeat(70_000) }))[0]).toBe(413);
  expect((await refused({ ...body, subject_request_id: "1" }))[0]).toBe(400);
  const malformed = [{ identity_type: "email", identity_value: "canary-7f3a" }];
  const [status, text] = await refused({ ...body, subject_identities: malformed });
  expect([status, text]).toEqual([422, expect.not.stringContaining("canary")]);
  const [elsewhere] = await refused({ ...body, status_callback_urls: ["http://169.254.169.254/latest"] });
  expect(elsewhere).toBe(422);
  const { rows } = await pipeline.pool.query("select from privacy.requests where request_id = $1", [
    body.subject_request_id,
  ]);
  expect(rows).toEqual([]);
});
