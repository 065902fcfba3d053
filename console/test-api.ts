import { randomUUID } from "node:crypto";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { shopRows, writeErasureProject, writeRows } from "../test/erasure-project.ts";
import { openPipeline, type Pipeline } from "../test/pipeline.ts";
import { receiveHttp } from "../test/receivers.ts";
import { receiveWebhooks, WEBHOOK_SECRET } from "../test/webhook-receiver.ts";
import { createApi } from "./api.ts";

export const TOKEN = "t".repeat(40);

/** The API over the shop of erasures, with a controller that is called back and a destination that passes messages on. */
export interface TestApi {
  directory: string;
  pipeline: Pipeline;
  api: FastifyInstance;
  /** Where it listens. */
  base: string;
  controller: Awaited<ReturnType<typeof receiveHttp>>;
  mailer: Awaited<ReturnType<typeof receiveWebhooks>>;
  /** What the API has logged. */
  lines: string[];
  /** A call over the network. */
  call(method: string, path: string, body?: unknown, token?: string): Promise<Response>;
  statusOf(id: string): Promise<unknown>;
  close(): Promise<void>;
}

export async function openTestApi(): Promise<TestApi> {
  const directory = await mkdtemp(join(tmpdir(), "miette-api-"));
  await writeErasureProject(directory);
  await writeRows(directory, shopRows());
  const mailer = await receiveWebhooks();
  await appendFile(
    join(directory, "miette.yaml"),
    `destinations:
  mailer: { connector: webhook, config: { url: "${mailer.url}", secret: "${WEBHOOK_SECRET}" } }
  files: { connector: csv, config: { directory: outbox } }
`,
  );
  const pipeline = await openPipeline(directory);
  await pipeline.run();
  const controller = await receiveHttp();
  const { pool, vault, client } = pipeline;
  const lines: string[] = [];
  const api = await createApi({
    pool,
    vault,
    client,
    project: await pipeline.project(),
    token: TOKEN,
    callbackOrigins: [new URL(controller.url).origin],
    log: (line) => lines.push(line),
  });
  const base = await api.listen({ port: 0, host: "127.0.0.1" });
  const call: TestApi["call"] = (method, path, body, token = TOKEN) =>
    fetch(`${base}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return {
    directory,
    pipeline,
    api,
    base,
    controller,
    mailer,
    lines,
    call,
    statusOf: async (id) =>
      ((await (await call("GET", `/requests/${id}`)).json()) as { request_status: string }).request_status,
    async close() {
      await api.close();
      await controller.close();
      await mailer.close();
      await pipeline.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** The body of a request about who has an address. */
export const asked = (email: string, more: Record<string, unknown> = {}) => ({
  regulation: "gdpr",
  api_version: "2.0",
  subject_request_id: randomUUID(),
  subject_request_type: "erasure",
  submitted_time: "2026-03-01T12:00:00Z",
  subject_identities: [{ identity_type: "email", identity_value: email, identity_format: "raw" }],
  ...more,
});

/** A caller of its own: calls are counted by address. */
export const apart = { headers: { authorization: `Bearer ${TOKEN}` }, remoteAddress: "127.0.0.7" };
export const posting = (payload: object) => ({ method: "POST" as const, url: "/requests", payload, ...apart });
export const verification = (id: string, code: string, remoteAddress = "127.0.0.9") => ({
  method: "POST" as const,
  url: `/requests/${id}/verification`,
  headers: { authorization: `Bearer ${TOKEN}` },
  payload: { code },
  remoteAddress,
});
