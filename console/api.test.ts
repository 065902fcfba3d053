import { createPublicKey, randomUUID, verify } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveWorkflowId } from "../domain/ids.ts";
import { confirmIdentity, makeChallenge } from "../warehouse/requests/identity.ts";
import { CANARY, CONTROL, shopRows, writeErasureProject, writeRows } from "../test/erasure-project.ts";
import { openPipeline, type Pipeline } from "../test/pipeline.ts";
import { receiveHttp } from "../test/receivers.ts";
import { createApi } from "./api.ts";

const TOKEN = "t".repeat(40);
let directory: string;
let pipeline: Pipeline;
let api: FastifyInstance;
let base: string;
let controller: Awaited<ReturnType<typeof receiveHttp>>;
const lines: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "miette-api-"));
  await writeErasureProject(directory);
  await writeRows(directory, shopRows());
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
  const code = await makeChallenge(pipeline.pool, id, "os:anna");
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

test("access by HTTP waits for the identity too; its passphrase is in the first answer alone", async () => {
  const request = asked("c104@crowd.test", { subject_request_type: "access" });
  const id = request.subject_request_id;
  const passphraseOf = async () =>
    ((await (await call("POST", "/requests", request)).json()) as { extensions?: { miette: { passphrase: string } } })
      .extensions?.miette.passphrase;
  expect(await passphraseOf()).toMatch(/^\S{20,}$/);
  expect(await passphraseOf()).toBeUndefined();
  const archive = "select from privacy.archives where request_id = $1 and finished_at is not null";
  expect((await pipeline.pool.query(archive, [id])).rowCount).toBe(0);
  await confirmIdentity(pipeline.pool, id, "document", "os:anna");
  await pipeline.client.workflow.getHandle(serveWorkflowId(id)).signal("identified");
  await expect.poll(() => statusOf(id), { timeout: 60_000 }).toBe("completed");
  expect((await pipeline.pool.query(archive, [id])).rowCount).toBe(1);
});

test("five wrong codes, and three codes, are the end of guessing", async () => {
  const { subject_request_id: id, ...rest } = asked(CANARY.email);
  await call("POST", "/requests", { subject_request_id: id, ...rest });
  const code = await makeChallenge(pipeline.pool, id, "os:anna");
  const wrong = code === "11111111" ? "22222222" : "11111111";
  const answer = (each: string) => api.inject(verification(id, each));
  // Another's code, and a code for a request that nobody has made.
  const other = asked(CONTROL.email);
  await call("POST", "/requests", other);
  const others = await makeChallenge(pipeline.pool, other.subject_request_id, "os:anna");
  if (others !== code) expect((await answer(others)).statusCode).toBe(403);
  const next = id.replace(/.$/, (digit) => ((Number.parseInt(digit, 16) + 1) % 16).toString(16));
  expect((await api.inject(verification(next, code))).statusCode).toBe(403);
  for (let i = 1; i < 5; i += 1) expect((await answer(wrong)).statusCode).toBe(403);
  expect((await answer(code)).statusCode).toBe(403);
  await makeChallenge(pipeline.pool, id, "os:anna");
  await makeChallenge(pipeline.pool, id, "os:anna");
  await expect(makeChallenge(pipeline.pool, id, "os:anna")).rejects.toThrow(/has had 3 codes/);
});
const verification = (id: string, code: string) => ({
  method: "POST" as const,
  url: `/requests/${id}/verification`,
  headers: { authorization: `Bearer ${TOKEN}` },
  payload: { code },
  // Another caller than the other test's, whose calls are counted apart.
  remoteAddress: "127.0.0.9",
});

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
