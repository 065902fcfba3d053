import { createHash, timingSafeEqual } from "node:crypto";
import { pipeline } from "node:stream/promises";
import rateLimit from "@fastify/rate-limit";
import { WorkflowIdReusePolicy, type Client } from "@temporalio/client";
import fastify, { type FastifyError, type FastifyInstance } from "fastify";
import type pg from "pg";
import { UserError, UserErrors } from "../domain/errors.ts";
import { serveWorkflowId, TASK_QUEUE } from "../domain/ids.ts";
import { statusBody } from "../domain/opendsr.ts";
import type { Project } from "../domain/project.ts";
import { hasArchive, takeArchive } from "../warehouse/access/store.ts";
import { publicKeyPem, signText } from "../warehouse/receipts.ts";
import { answerChallenge } from "../warehouse/requests/identity.ts";
import { takeIn } from "../warehouse/requests/intake.ts";
import { readRequest, type StoredRequest } from "../warehouse/requests/store.ts";
import { identifierKinds } from "../warehouse/requests/subject.ts";
import type { Vault } from "../warehouse/vault.ts";
import { discovery, readOpenDsr, REQUEST_SCHEMA, type OpenDsrRequest } from "./opendsr.ts";

/** 20 identities of 1,000 characters, in JSON. */
const MOST_BYTES = 64 << 10;
/** Calls a minute from one address; whoever hands over more asks again a minute later. */
const CALLS = 300;
/** Answers to challenges a minute: people type them. */
const ANSWERS = 10;
const PATIENCE_MS = 15_000;
/** Archives that are taken a minute, and how long one may take: less than a transaction may be idle. */
const TAKINGS = 10;
const TAKING_MS = 240_000;

export interface ApiOptions {
  pool: pg.Pool;
  vault: Vault;
  client: Client;
  project: Project;
  /** What every call but `/discovery` and `/certificate` has to bring as `Authorization: Bearer …`. */
  token: string;
  /** Origins of the callbacks that a request may name; a call to anywhere else could reach into this network. */
  callbackOrigins: readonly string[];
  /** Receives one line per failure: a code and a route, never a value. */
  log(line: string): void;
}

const ID_PARAMS = {
  type: "object",
  properties: { id: { type: "string", pattern: "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$" } },
} as const;
const CODE_BODY = {
  type: "object",
  required: ["code"],
  properties: { code: { type: "string", pattern: "^\\d{8}$" } },
} as const;

/**
 * The requests API, in the shapes of OpenDSR 2.0. Nothing here looks a person up: what is asked is sealed and handed to a
 * workflow by its id, so an unknown person's answer is the same, in words and in time.
 */
export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const { pool, vault, project, log } = options;
  const server = fastify({
    bodyLimit: MOST_BYTES,
    requestTimeout: PATIENCE_MS,
    connectionTimeout: PATIENCE_MS,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  await server.register(rateLimit, { max: CALLS, timeWindow: "1 minute", hook: "onRequest" });
  const token = digest(options.token);
  server.addHook("onRequest", async (request, reply) => {
    reply.header("cache-control", "no-store");
    const path = request.routeOptions.url;
    if (path === "/discovery" || path === "/certificate") return;
    const given = /^Bearer (\S{1,1000})$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if (timingSafeEqual(digest(given), token)) return;
    await reply.code(401).header("www-authenticate", "Bearer").send({ error: "a token is needed" });
  });
  server.addHook("onSend", async (request, reply, payload) => {
    if (!request.routeOptions.url?.startsWith("/requests") || typeof payload !== "string") return payload;
    reply.header("x-opendsr-processor-domain", project.name);
    reply.header("x-opendsr-signature", await signText(pool, vault, payload));
    return payload;
  });
  server.setNotFoundHandler(async (_request, reply) => await reply.code(404).send({ error: "there is nothing here" }));
  server.setErrorHandler<FastifyError | UserError | UserErrors>(async (error, request, reply) => {
    if (error instanceof UserError || error instanceof UserErrors) {
      return await reply.code(422).send({ error: error.message });
    }
    // Fastify's own say what is wrong with the call, by the names of its fields.
    const status = error.statusCode ?? 500;
    if (status < 500) return await reply.code(status).send({ error: error.message });
    log(`${request.method} ${request.routeOptions.url ?? "?"} failed (${error.code ?? error.name})`);
    return await reply.code(500).send({ error: "internal" });
  });

  server.get("/discovery", async (request) =>
    discovery([...identifierKinds(project).keys()], `${request.protocol}://${request.host}`),
  );
  server.get(
    "/certificate",
    async (_request, reply) => await reply.type("application/x-pem-file").send(await publicKeyPem(pool, vault)),
  );

  server.post<{ Body: OpenDsrRequest }>("/requests", { schema: { body: REQUEST_SCHEMA } }, async (request, reply) => {
    const { body } = request;
    checkCallbacks(body.status_callback_urls ?? [], options.callbackOrigins);
    const known = await findRequest(pool, body.subject_request_id);
    const intake = readOpenDsr(body);
    if (known && (known.kind !== intake.kind || (known.terms.isByAgent ?? false) !== (intake.agent !== undefined))) {
      return await reply.code(409).send({ error: "a request of this id asks for something else" });
    }
    const taken = known ? null : await takeIn(pool, vault, project, intake);
    await serve(options.client, body.subject_request_id);
    const stored = await readRequest(pool, body.subject_request_id);
    const { request_status: _, ...status } = statusBody(stored);
    return await reply.code(201).send({
      ...status,
      encoded_request: Buffer.from(JSON.stringify(body)).toString("base64"),
      ...(taken?.passphrase && { extensions: { miette: { passphrase: taken.passphrase } } }),
    });
  });

  server.get<{ Params: { id: string } }>("/requests/:id", { schema: { params: ID_PARAMS } }, async (request, reply) => {
    const { id } = request.params;
    const stored = await findRequest(pool, id);
    if (!stored) return await reply.code(404).send({ error: "there is no request of this id" });
    const url = `${request.protocol}://${request.host}/requests/${id}/archive`;
    return statusBody(stored, (await hasArchive(pool, id)) ? url : null);
  });

  server.get<{ Params: { id: string } }>(
    "/requests/:id/archive",
    {
      schema: { params: ID_PARAMS },
      // A HEAD would take it too.
      exposeHeadRoute: false,
      config: { rateLimit: { max: TAKINGS, timeWindow: "1 minute" } },
    },
    async (request, reply) => {
      await takeArchive(pool, request.params.id, "api", async (parts) => {
        reply.hijack();
        const head = { "content-type": "application/zip", "cache-control": "no-store" };
        reply.raw.writeHead(200, { ...head, "content-disposition": 'attachment; filename="archive.zip"' });
        await pipeline(parts, reply.raw, { signal: AbortSignal.timeout(TAKING_MS) });
      }).catch(async (error: unknown) => {
        // Unknown, of another kind, not ready, taken or over: one answer for all.
        if (error instanceof UserError) {
          return await reply.code(404).send({ error: "there is no archive here, or not any more" });
        }
        if (!reply.sent) throw error;
        log("GET /requests/:id/archive was cut off; it can be taken again");
      });
      return reply;
    },
  );

  server.delete<{ Params: { id: string } }>(
    "/requests/:id",
    { schema: { params: ID_PARAMS } },
    async (request, reply) => {
      const { id } = request.params;
      const stored = await findRequest(pool, id);
      if (!stored) return await reply.code(404).send({ error: "there is no request of this id" });
      if (stored.state === "running" || stored.completedAt !== null) {
        return await reply.code(409).send({ error: "it is too late: the request is carried out or has ended" });
      }
      await options.client.workflow.getHandle(serveWorkflowId(id)).signal("cancel", "api");
      return await reply.code(202).send({ ...statusBody(stored), encoded_request: "" });
    },
  );

  server.post<{ Params: { id: string }; Body: { code: string } }>(
    "/requests/:id/verification",
    {
      schema: { params: ID_PARAMS, body: CODE_BODY },
      config: { rateLimit: { max: ANSWERS, timeWindow: "1 minute" } },
    },
    async (request, reply) => {
      const { id } = request.params;
      if (!(await answerChallenge(pool, id, request.body.code, "api"))) {
        return await reply.code(403).send({ error: "the code is wrong, used or expired" });
      }
      await options.client.workflow.getHandle(serveWorkflowId(id)).signal("identified");
      return { verified: true };
    },
  );
  return server;
}

/** Starts what serves a request, once; one that was served stays so. */
async function serve(client: Client, requestId: string): Promise<void> {
  await client.workflow
    .start("serveRequest", {
      workflowId: serveWorkflowId(requestId),
      taskQueue: TASK_QUEUE,
      args: [{ requestId }],
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      staticSummary: "a request by the API",
    })
    .catch((error: unknown) => {
      if (!(error instanceof Error && error.name === "WorkflowExecutionAlreadyStartedError")) throw error;
    });
}

async function findRequest(pool: pg.Pool, requestId: string): Promise<StoredRequest | null> {
  return await readRequest(pool, requestId).catch((error: unknown) => {
    if (error instanceof UserError) return null;
    throw error;
  });
}

function checkCallbacks(urls: readonly string[], origins: readonly string[]): void {
  for (const url of urls) {
    const { origin, username, password } = URL.canParse(url)
      ? new URL(url)
      : { origin: "null", username: "", password: "" };
    if (!origins.includes(origin) || username || password) {
      throw new UserError("must lie under an origin that MIETTE_API_CALLBACKS names", { key: "status_callback_urls" });
    }
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
