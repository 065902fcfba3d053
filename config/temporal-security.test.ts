import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readTemporalSecurity } from "./temporal-security.ts";

const ADDRESS = { TEMPORAL_ADDRESS: "temporal.internal:7233" };
const read = (env: Record<string, string>) => readTemporalSecurity({ ...ADDRESS, ...env });
const folder = mkdtempSync(join(tmpdir(), "miette-temporal-"));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
afterAll(() => rmSync(folder, { recursive: true }));

describe("how Temporal is spoken to", () => {
  it("is in clear unless a variable asks for TLS", () => {
    expect(read({})).toEqual({ tls: false });
    expect(read({ TEMPORAL_TLS: "false", TEMPORAL_API_KEY: "" })).toEqual({ tls: false });
    expect(read({ TEMPORAL_TLS: "true" })).toEqual({ tls: {} });
    expect(read({ TEMPORAL_TLS_SERVER_NAME: "shop.tmprl.cloud" })).toEqual({
      tls: { serverNameOverride: "shop.tmprl.cloud" },
    });
  });

  it("takes an API key from the environment or a file, never without TLS", () => {
    expect(read({ TEMPORAL_API_KEY: "eyJ.x-_" })).toEqual({ tls: {}, apiKey: "eyJ.x-_" });
    expect(read({ TEMPORAL_API_KEY_FILE: file("key", "eyJ.y\n") })).toEqual({ tls: {}, apiKey: "eyJ.y" });
    expect(() => read({ TEMPORAL_API_KEY: "hunter2", TEMPORAL_TLS: "0" })).toThrow(
      /^TEMPORAL_TLS: is false, and without TLS an API key or a certificate can't be used; unset it\.$/,
    );
    expect(() => read({ TEMPORAL_API_KEY: "two\nlines" })).toThrow(/^TEMPORAL_API_KEY: must be one line/);
  });

  it.each([
    [{ TEMPORAL_TLS: "maybe" }, "TEMPORAL_TLS: must be true or false."],
    [
      { TEMPORAL_TLS_SERVER_CA_CERT_PATH: join(folder, "absent.pem") },
      "TEMPORAL_TLS_SERVER_CA_CERT_PATH: names a file that can't be read (ENOENT).",
    ],
    [
      { TEMPORAL_TLS_SERVER_CA_CERT_PATH: file("no.pem", "hunter2") },
      "TEMPORAL_TLS_SERVER_CA_CERT_PATH: must name a file with a certificate in PEM.",
    ],
    [
      { TEMPORAL_TLS_CLIENT_KEY_PATH: file("no.key", "hunter2") },
      "TEMPORAL_TLS_CLIENT_KEY_PATH: must name a file with a private key in PEM without a passphrase.",
    ],
    [
      { TEMPORAL_ADDRESS: "", TEMPORAL_API_KEY: "hunter2" },
      "TEMPORAL_API_KEY: is set without TEMPORAL_ADDRESS; set that too, or unset this for the embedded server.",
    ],
  ])("refuses %o in one sentence", (env, sentence) => {
    const given: Record<string, string> = { ...env };
    expect(() => read(given)).toThrow(expect.objectContaining({ message: sentence }));
  });
});

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
describe.skipIf(!hasOpenssl)("client certificates (skipped where openssl, which makes them, is absent)", () => {
  const certificate = (name: string): [string, string] => {
    const [key, pem] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
    const made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", `/CN=${name}`];
    spawnSync("openssl", ["req", ...made, "-days", "2", "-keyout", key, "-out", pem]);
    return [pem, key];
  };

  it("come with their own key, and neither alone", () => {
    const [[pem, key], [, other]] = [certificate("a"), certificate("b")];
    const [CERTIFICATE, KEY] = ["TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_KEY_PATH"];
    const { tls } = read({ [CERTIFICATE]: pem, [KEY]: key, TEMPORAL_TLS_SERVER_CA_CERT_PATH: pem });
    expect(tls && tls.clientCertPair?.crt.toString()).toMatch(/^-----BEGIN CERTIFICATE/);
    expect(tls && tls.serverRootCACertificate?.toString()).toMatch(/^-----BEGIN CERTIFICATE/);
    expect(() => read({ [CERTIFICATE]: pem })).toThrow(`${KEY}: is needed beside ${CERTIFICATE}.`);
    expect(() => read({ [KEY]: key })).toThrow(`${CERTIFICATE}: is needed beside ${KEY}.`);
    expect(() => read({ [CERTIFICATE]: pem, [KEY]: other })).toThrow(/^TEMPORAL_TLS_CLIENT_KEY_PATH: is not the key/);
  });
});
