import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Payload, PayloadCodec } from "@temporalio/common";

const COOKIE = "miette_codec";
/** A history's page of payloads; the server itself takes 4 MB in one message. */
const MOST_BYTES = 8 << 20;
const HEADERS = "content-type, x-namespace";

export interface CodecServerOptions {
  codec: PayloadCodec;
  /** Origin of the web interface, as a browser sends it: `http://127.0.0.1:8233`. No other is answered. */
  origin: string;
  /** Receives one line per call: namespace, verb and count, never a payload. */
  log(line: string): void;
}

/** An endpoint by which Temporal's web interface shows sealed payloads. */
export interface CodecServer {
  server: Server;
  /** The path that signs one browser in, once: it sets the cookie without which nothing is opened. */
  loginPath: string;
}

/**
 * `POST /decode` and `/encode` as the web interface calls them. It authenticates by a cookie, since the interface sends
 * an Authorization header over https alone; the cookie is for this host only and unreadable to scripts.
 */
export function createCodecServer({ codec, origin, log }: CodecServerOptions): CodecServer {
  const secret = randomBytes(32).toString("hex");
  let ticket: string | null = randomBytes(32).toString("hex");
  const loginPath = `/login/${ticket}`;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<number> => {
    response.setHeader("cache-control", "no-store");
    // A page of another name that has this address (DNS rebinding) is not answered.
    if (!/^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/.test(request.headers.host ?? "")) return 421;
    const { method, url = "/" } = request;
    if (method === "GET" && ticket !== null && isSame(url, `/login/${ticket}`)) {
      ticket = null;
      response.setHeader("set-cookie", `${COOKIE}=${secret}; HttpOnly; SameSite=Strict; Path=/`);
      response.setHeader("location", origin);
      return 302;
    }
    if (request.headers.origin !== origin) return 403;
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-allow-credentials", "true");
    response.setHeader("vary", "origin");
    if (method === "OPTIONS") {
      response.setHeader("access-control-allow-methods", "POST, OPTIONS");
      response.setHeader("access-control-allow-headers", HEADERS);
      return 204;
    }
    if (!isSignedIn(request, secret)) return 401;
    const verb = /^\/(decode|encode)(?:\?|$)/.exec(url)?.[1] as "decode" | "encode" | undefined;
    if (method !== "POST" || !verb) return 404;
    const body = await readBody(request);
    if (body === null) return 413;
    const payloads = parsePayloads(body);
    if (payloads === null) return 400;
    const result = await codec[verb](payloads).catch(() => null);
    log(
      `${verb} ${payloads.length} payloads of ${String(request.headers["x-namespace"] ?? "?").replace(/[^\w.-]/g, "?")}`,
    );
    if (result === null) return 422;
    response.setHeader("content-type", "application/json");
    response.write(JSON.stringify({ payloads: result.map(asJson) }));
    return 200;
  };

  const server = createServer((request, response) => {
    answer(request, response)
      .catch(() => 500)
      .then((status) => {
        if (!response.headersSent) response.statusCode = status;
        response.end();
      })
      .catch(() => undefined);
  });
  return { server, loginPath };
}

function isSignedIn(request: IncomingMessage, secret: string): boolean {
  const cookies = (request.headers.cookie ?? "").split(/;\s*/);
  return cookies.some((cookie) => isSame(cookie, `${COOKIE}=${secret}`));
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Protobuf's JSON: bytes are base64. */
function parsePayloads(body: string): Payload[] | null {
  try {
    const { payloads } = JSON.parse(body) as { payloads: { metadata?: Record<string, string>; data?: string }[] };
    return payloads.map(({ metadata, data }) => ({
      metadata: Object.fromEntries(
        Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value, "base64")]),
      ),
      data: Buffer.from(data ?? "", "base64"),
    }));
  } catch {
    return null;
  }
}

function asJson({ metadata, data }: Payload): { metadata: Record<string, string>; data: string } {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  return {
    metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, text(value)])),
    data: text(data ?? new Uint8Array()),
  };
}
