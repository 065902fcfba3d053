import { connect as connectPlain, isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import type { TemporalSecurity } from "../config/temporal-security.ts";
import { CodedError, UserError } from "../domain/errors.ts";

/** What the SDK's connections take, client's and worker's alike. */
type ConnectionOptions = TemporalSecurity & { address: string };

/** How long a server has for its first bytes: a refused certificate of ours shows only after the handshake. */
const PATIENCE = 5_000;

/**
 * Connects to Temporal, and tells in a sentence why it could not: the SDK says of most reasons no more than that it took too long.
 *
 * @param address `host:port`
 * @param connect `Connection.connect` or `NativeConnection.connect`
 * @throws UserError where what the environment says does not fit the server, CodedError where nobody answers
 */
export async function connectTemporal<T>(
  address: string,
  security: TemporalSecurity,
  connect: (options: ConnectionOptions) => Promise<T>,
): Promise<T> {
  try {
    return await connect({ address, ...security });
  } catch (error) {
    throw whyNot(address, security, await handshake(address, security), error);
  }
}

function whyNot(address: string, security: TemporalSecurity, code: string | null, cause: unknown): Error {
  const wrong = (key: string, sentence: string): UserError => new UserError(sentence, { key });
  if (code === null) {
    if (!isRefusal(cause)) return unavailable(address, "it does not answer as Temporal does", cause);
    if (security.apiKey === undefined) return wrong("TEMPORAL_API_KEY", `Temporal at ${address} asks for an API key.`);
    return wrong("TEMPORAL_API_KEY", `Temporal at ${address} does not accept this API key.`);
  }
  if (code === "SPEAKS_TLS") return wrong("TEMPORAL_TLS", `Temporal at ${address} speaks TLS; set this to true.`);
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH/.test(code)) {
    return wrong("TEMPORAL_TLS", `Temporal at ${address} does not speak TLS, which a TEMPORAL_… variable asks for.`);
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const mend = "set this to the name for which it is";
    return wrong("TEMPORAL_TLS_SERVER_NAME", `the certificate of Temporal at ${address} is for another name; ${mend}.`);
  }
  if (/SELF_SIGNED|UNABLE_TO_|UNTRUSTED/.test(code)) {
    const mend = "name the file with its authority's certificate";
    return wrong(
      "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
      `the certificate of Temporal at ${address} is not trusted; ${mend}.`,
    );
  }
  if (/ALERT/.test(code)) {
    const asks = "asks for a client certificate of an authority that it trusts";
    return wrong("TEMPORAL_TLS_CLIENT_CERT_PATH", `Temporal at ${address} ${asks} (${code}).`);
  }
  return unavailable(address, code, cause);
}

function unavailable(address: string, reason: string, cause: unknown): CodedError {
  const message = `Temporal at ${address} can't be reached (${reason}).`;
  return new CodedError("temporal_unavailable", message, { retryable: true, cause });
}

/** Whether the server answered that it does not let this client in; the native connection says so in words alone. */
function isRefusal(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (/UNAUTHENTICATED|PERMISSION_DENIED|authentication credentials|not have permission/.test(each.message))
      return true;
  }
  return false;
}

/** Speaks to the server as a connection does, up to its first bytes. @returns null, or the code of what is wrong */
async function handshake(address: string, { tls }: TemporalSecurity): Promise<string | null> {
  const [, host = "", port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  const at = { host, port: Number(port) };
  if (tls !== false) {
    const { serverNameOverride: name = host, serverRootCACertificate: ca, clientCertPair: pair } = tls;
    const own = pair ? { cert: pair.crt, key: pair.key } : {};
    const servername = isIP(name) ? {} : { servername: name };
    return await firstBytes(connectTls({ ...at, ...servername, ...own, ...(ca ? { ca } : {}), ALPNProtocols: ["h2"] }));
  }
  // A server in clear sends its first frame unasked; one with TLS waits for ours.
  const plain = await firstBytes(connectPlain(at), 1_000);
  if (plain !== "ETIMEDOUT") return plain;
  const anyone = await firstBytes(connectTls({ ...at, rejectUnauthorized: false, ALPNProtocols: ["h2"] }));
  return anyone === null || /ALERT/.test(anyone) ? "SPEAKS_TLS" : plain;
}

async function firstBytes(socket: ReturnType<typeof connectPlain>, patience = PATIENCE): Promise<string | null> {
  return await new Promise<string | null>((resolve) => {
    socket.once("data", () => resolve(null));
    socket.once("error", ({ code = "UNKNOWN" }: NodeJS.ErrnoException) => resolve(code));
    socket.once("close", () => resolve("ECONNRESET"));
    socket.setTimeout(patience, () => resolve("ETIMEDOUT"));
  }).finally(() => socket.destroy());
}
