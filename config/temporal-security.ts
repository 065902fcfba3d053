import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { UserError } from "../domain/errors.ts";
import { readVariable } from "./secret-files.ts";
import type { Environment } from "./settings.ts";

/** How Temporal is spoken to, in the words of its SDK. */
export interface TemporalSecurity {
  /** False: in clear. Without an authority of one's own those count that Node knows. */
  tls:
    | false
    | {
        serverNameOverride?: string;
        serverRootCACertificate?: Buffer;
        /** By which this side proves itself. */
        clientCertPair?: { crt: Buffer; key: Buffer };
      };
  /** Sent with every call. */
  apiKey?: string;
}

/** The variables of Temporal's own environment configuration that say so; files of certificates and keys are PEM. */
const FILES = ["TEMPORAL_TLS_SERVER_CA_CERT_PATH", "TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_KEY_PATH"];
const VARIABLES = ["TEMPORAL_TLS", "TEMPORAL_TLS_SERVER_NAME", "TEMPORAL_API_KEY", ...FILES];

/** Of {@link VARIABLES} and their `_FILE`s those that name files, relative to the folder of the command. */
export const TEMPORAL_FILES = [...FILES, "TEMPORAL_API_KEY_FILE"];

/**
 * TLS is spoken where `TEMPORAL_TLS` is true, where a certificate or a server's name is given, and with every API key. Never
 * quotes a value.
 * @throws UserError where variables contradict each other, or a file is not what it should be
 */
export function readTemporalSecurity(env: Environment): TemporalSecurity {
  const given = VARIABLES.find((name) => env[name] || env[`${name}_FILE`]);
  if (given !== undefined && !env.TEMPORAL_ADDRESS) {
    throw new UserError("is set without TEMPORAL_ADDRESS; set that too, or unset this for the embedded server.", {
      key: given,
    });
  }
  const serverName = env.TEMPORAL_TLS_SERVER_NAME;
  const apiKey = readVariable(env, "TEMPORAL_API_KEY");
  if (apiKey && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new UserError("must be one line of printable characters without a blank.", { key: "TEMPORAL_API_KEY" });
  }
  const [authority, certificate, key] = FILES.map((name) => readPem(env, name));
  if (Boolean(certificate) !== Boolean(key)) {
    const [missing, present] = certificate ? [FILES[2]!, FILES[1]!] : [FILES[1]!, FILES[2]!];
    throw new UserError(`is needed beside ${present}.`, { key: missing });
  }
  if (certificate && key && !isPair(certificate, key)) {
    throw new UserError(`is not the key of the certificate in ${FILES[1]}.`, { key: FILES[2]! });
  }
  const needsTls = Boolean(serverName || apiKey || authority || certificate);
  const isTls = readSwitch(env.TEMPORAL_TLS) ?? needsTls;
  if (needsTls && !isTls) {
    throw new UserError("is false, and without TLS an API key or a certificate can't be used; unset it.", {
      key: "TEMPORAL_TLS",
    });
  }
  return {
    tls: isTls && {
      ...(serverName ? { serverNameOverride: serverName } : {}),
      ...(authority ? { serverRootCACertificate: authority } : {}),
      ...(certificate && key ? { clientCertPair: { crt: certificate, key } } : {}),
    },
    ...(apiKey ? { apiKey } : {}),
  };
}

function readSwitch(text: string | undefined): boolean | undefined {
  if (!text) return undefined;
  if (/^(1|true)$/i.test(text)) return true;
  if (/^(0|false)$/i.test(text)) return false;
  throw new UserError("must be true or false.", { key: "TEMPORAL_TLS" });
}

/** The file that the variable names, once it turns out to hold a certificate, or a key that needs no passphrase. */
function readPem(env: Environment, name: string): Buffer | undefined {
  const path = env[name];
  if (!path) return undefined;
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    throw new UserError(`names a file that can't be read (${code}).`, { key: name });
  }
  const isKey = name.endsWith("KEY_PATH");
  try {
    if (isKey) createPrivateKey(content);
    else new X509Certificate(content.toString());
  } catch {
    const what = isKey ? "private key in PEM without a passphrase" : "certificate in PEM";
    throw new UserError(`must name a file with a ${what}.`, { key: name });
  }
  return content;
}

function isPair(certificate: Buffer, key: Buffer): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
}
