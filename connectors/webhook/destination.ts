import { request as overHttp, type IncomingMessage } from "node:http";
import { request as overHttps } from "node:https";
import { Webhook } from "standardwebhooks";
import type { Destination, DestinationOptions, Member, Outcome } from "../destination.ts";
import { ConnectorError, Rejected, Throttled, Unauthorized, Unavailable } from "../errors.ts";
import { checkAddress, lookupFor } from "./address.ts";
import { spec, type WebhookConfig } from "./spec.ts";

const TIMEOUT_SECONDS = 20;
/** An answer says its status in a few words; what is longer is not read. */
const ANSWER_BYTES = 64 << 10;
/** What a receiver that knows no such call answers. */
const UNKNOWN_CALL = new Set([404, 405, 501]);
/** Receivers that ask for more patience than this are asked again after it. */
const LONGEST_WAIT_MS = 3_600_000;

/**
 * POSTs each batch as one JSON document, signed by the Standard Webhooks specification. `webhook-id` and `idempotency-key`
 * are the batch's key at every attempt, and so are the bytes of the body. 2xx is accepted, and confirmed where the answer
 * is JSON with `"status": "confirmed"`; no redirect is followed.
 */
export const webhook: Destination<WebhookConfig> = {
  spec,
  deliver: async (config, { key, at, audience, purpose, members }, options) =>
    taken(
      await post(
        config,
        { key, at, type: "audience.deliver", data: { audience, purpose, members: flat(members) } },
        options,
      ),
    ),
  remove: (config, { key, at, audience, purpose, members }, options) =>
    askTo(config, { key, at, type: "audience.remove", data: { audience, purpose, members: idsOf(members) } }, options),
  erase: (config, { key, at, members }, options) =>
    askTo(config, { key, at, type: "person.erase", data: { members: idsOf(members) } }, options),
  send: (config, { key, at, id, to, template, values }, options) =>
    askTo(config, { key, at, type: "message.send", data: { id, to, template, values } }, options),
};

interface Call {
  key: string;
  type: string;
  at: string;
  data: object;
}

interface Answer {
  status: number;
  body: string;
}

const flat = (members: Member[]) => members.map(({ id, fields }) => ({ id, ...fields }));
const idsOf = (members: Member[]) => members.map(({ id }) => ({ id }));

/** What a receiver need not offer: one that does not know the call says so. */
async function askTo(config: WebhookConfig, call: Call, options: DestinationOptions): Promise<Outcome> {
  const answer = await post(config, call, options);
  return UNKNOWN_CALL.has(answer.status) ? "unsupported" : taken(answer);
}

function taken({ status, body }: Answer): Outcome {
  if (status < 200 || status > 299) throw new Rejected(`the webhook answered with status ${status}`);
  try {
    const said = JSON.parse(body) as { status?: unknown } | null;
    return said?.status === "confirmed" ? "confirmed" : "accepted";
  } catch {
    return "accepted";
  }
}

/** @throws ConnectorError by what the status says; 2xx and what says that the call is not known come back */
async function post(
  config: WebhookConfig,
  { key, type, at, data }: Call,
  options: DestinationOptions,
): Promise<Answer> {
  const url = new URL(config.url);
  checkAddress(url);
  const body = JSON.stringify({ type, timestamp: at, data });
  const now = new Date();
  const response = await exchange(url, config, body, options, {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    "idempotency-key": key,
    "webhook-id": key,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": new Webhook(config.secret).sign(key, now, body),
  });
  const { status } = response;
  if (status === 401 || status === 403)
    throw new Unauthorized(`the webhook refused its credentials with status ${status}`);
  if (status === 408 || status === 425 || (status >= 500 && status !== 501))
    throw new Unavailable(`the webhook answered with status ${status}`);
  if (status === 429) {
    throw new Throttled("the webhook answered with status 429", waitOf(response.retryAfter, now));
  }
  return response;
}

/** `Retry-After` in seconds or as a date, bounded. */
function waitOf(header: string | undefined, now: Date): { retryAfterMs?: number } {
  if (header === undefined) return {};
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return Number.isFinite(wait) ? { retryAfterMs: Math.min(Math.max(wait, 0), LONGEST_WAIT_MS) } : {};
}

async function exchange(
  url: URL,
  { network = "public", timeout_seconds: seconds = TIMEOUT_SECONDS }: WebhookConfig,
  body: string,
  { signal }: DestinationOptions,
  headers: Record<string, string>,
): Promise<Answer & { retryAfter: string | undefined }> {
  try {
    return await new Promise((resolve, reject) => {
      const request = (url.protocol === "https:" ? overHttps : overHttp)(
        url,
        { method: "POST", headers, lookup: lookupFor(network), signal, agent: false },
        (response) => {
          readAnswer(response).then(
            (text) =>
              resolve({ status: response.statusCode ?? 0, body: text, retryAfter: response.headers["retry-after"] }),
            reject,
          );
        },
      );
      // Not AbortSignal.any: Node 20 collects a timeout that nothing else holds, and the call would never end.
      const timer = setTimeout(() => request.destroy(new Error("no answer in time")), seconds * 1000);
      request.on("close", () => clearTimeout(timer));
      request.on("error", reject);
      request.end(body);
    });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof ConnectorError) throw cause;
    // The URL may hold a token, so it is not told; nor is what the network says of it.
    throw new Unavailable("the webhook can't be reached, or broke off before it had answered", { cause });
  }
}

/** An answer that breaks off is none: what it would have said is not known. */
async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= ANSWER_BYTES) chunks.push(chunk);
  }
  return length <= ANSWER_BYTES ? Buffer.concat(chunks).toString("utf8") : "";
}
