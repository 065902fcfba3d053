import { createPublicKey, randomUUID, verify } from "node:crypto";
import { Client, Connection } from "@temporalio/client";
import { BlobReader, TextWriter, ZipReader, type FileEntry } from "@zip.js/zip.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveWorkflowId } from "../domain/ids.ts";
import { confirmIdentity, makeChallenge } from "../warehouse/requests/identity.ts";
import { CANARY } from "../test/erasure-project.ts";
import { createNamespace } from "../test/pipeline.ts";
import { createApi } from "./api.ts";
import { apart, asked, posting, TOKEN, openTestApi, type TestApi } from "./test-api.ts";

/** Answers of each kind whose times are compared. */
const PAIRS = 60;

let open: TestApi;
let pipeline: TestApi["pipeline"];
let api: TestApi["api"];
let controller: TestApi["controller"];
let lines: TestApi["lines"];
let call: TestApi["call"];
let statusOf: TestApi["statusOf"];

beforeAll(async () => {
  open = await openTestApi();
  ({ pipeline, api, controller, lines, call, statusOf } = open);
});
afterAll(() => open.close());

const stateOf = async (id: string): Promise<unknown> =>
  (await api.inject({ url: `/requests/${id}`, ...apart })).json<{ request_status: string }>().request_status;

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
  expect(url).toBe(`${open.base}/requests/${id}/archive`);
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
