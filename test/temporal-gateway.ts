import { once } from "node:events";
import { connect, constants, createSecureServer, type SecureServerOptions } from "node:http2";
import type { AddressInfo } from "node:net";

/** A gateway before a Temporal server, as a cluster has one: TLS, perhaps client certificates, perhaps an API key. */
export interface Gateway {
  port: number;
  /** Calls that were let through, by their method: `StartWorkflowExecution`. */
  calls: Map<string, number>;
  close(): void;
}

const UNAUTHENTICATED = "16";

/**
 * @param upstream `host:port` of the real server, in clear
 * @param options.apiKey what every call has to carry; undefined: none
 */
export async function openGateway(
  upstream: string,
  options: SecureServerOptions & { apiKey?: string },
): Promise<Gateway> {
  const { apiKey, ...tls } = options;
  const calls = new Map<string, number>();
  const server = createSecureServer(tls);
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    const behind = connect(`http://${upstream}`);
    for (const each of [session, behind]) {
      sessions.add(each);
      each.on("error", () => undefined);
      each.on("close", () => (session.destroy(), behind.destroy()));
    }
    session.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      if (apiKey !== undefined && headers.authorization !== `Bearer ${apiKey}`) {
        const refusal = { "content-type": "application/grpc", "grpc-status": UNAUTHENTICATED };
        stream.respond({ ...refusal, "grpc-message": "Request unauthorized." }, { endStream: true });
        return;
      }
      const method = String(headers[":path"]).replace(/.*\//, "");
      calls.set(method, (calls.get(method) ?? 0) + 1);
      const { host: _host, ":authority": _authority, ":scheme": _scheme, ...rest } = headers;
      const request = behind.request(rest);
      request.on("error", () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      stream.on("close", () => request.close(constants.NGHTTP2_CANCEL));
      stream.pipe(request);
      let trailers = {};
      request.on("trailers", (received) => (trailers = received));
      request.on("response", ({ ":status": _status, ...answer }, flags) => {
        if (stream.closed) return;
        const isOver = Boolean(flags & constants.NGHTTP2_FLAG_END_STREAM);
        stream.respond(answer, { endStream: isOver, waitForTrailers: !isOver });
        stream.on("wantTrailers", () => stream.sendTrailers(trailers));
        if (!isOver) request.pipe(stream);
      });
    });
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    calls,
    close() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}
