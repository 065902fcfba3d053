import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Connection } from "@temporalio/client";
import { NativeConnection } from "@temporalio/worker";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../config.ts";
import { readTemporalSecurity } from "../config/temporal-security.ts";
import { UserError } from "../domain/errors.ts";
import { connectTemporal } from "../stack/temporal-connection.ts";
import { type CommandLine, createCommandLine, succeeded } from "./command.ts";
import { createNamespace, silenceWorkers } from "./pipeline.ts";
import { type Gateway, openGateway } from "./temporal-gateway.ts";

/**
 * The suite's own Temporal behind TLS, as a cluster has it: one gateway asks for an API key, one for a client certificate. A client, a
 * worker's connection and whole commands reach it by the environment's variables, or say in a sentence why not.
 */
const IS_LONG = Boolean(process.env["MIETTE_TEST_LONG"]);
const API_KEY = "a-key.of-the_test";
const SENT = { TEMPORAL_API_KEY: API_KEY };
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

describe.skipIf(!hasOpenssl)("Temporal by TLS (skipped where openssl, which makes certificates, is absent)", () => {
  let folder: string;
  let keyed: Gateway;
  let mutual: Gateway;
  const at = (name: string): string => join(folder, name);
  const authority = (): Record<string, string> => ({ TEMPORAL_TLS_SERVER_CA_CERT_PATH: at("ca.pem") });
  const proof = (name: string): Record<string, string> => ({
    TEMPORAL_TLS_CLIENT_CERT_PATH: at(`${name}.pem`),
    TEMPORAL_TLS_CLIENT_KEY_PATH: at(`${name}.key`),
  });

  beforeAll(async () => {
    silenceWorkers();
    folder = await mkdtemp(join(tmpdir(), "miette-tls-"));
    await makeCertificates();
    const own = { key: await readFile(at("server.key")), cert: await readFile(at("server.pem")) };
    const upstream = inject("temporalAddress");
    keyed = await openGateway(upstream, { ...own, apiKey: API_KEY });
    mutual = await openGateway(upstream, { ...own, ca: await readFile(at("ca.pem")), requestCert: true });
  });
  afterAll(async () => {
    keyed.close();
    mutual.close();
    await rm(folder, { recursive: true });
  });

  async function makeCertificates(): Promise<void> {
    const run = (command: string): void =>
      void execFileSync("openssl", command.split(" "), { cwd: folder, stdio: "ignore" });
    const fresh = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for (const name of ["ca", "stranger"]) {
      run(`req -x509 ${fresh} -days 2 -subj /CN=${name} -keyout ${name}.key -out ${name}.pem`);
    }
    await writeFile(at("names"), "subjectAltName=DNS:localhost\n");
    for (const name of ["server", "worker"]) {
      run(`req ${fresh} -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`);
      run(`x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -days 2 -extfile names -out ${name}.pem`);
    }
  }

  const clients = {
    "a client": (options: object) => Connection.connect({ ...options, connectTimeout: 1_500 }),
    "a worker's connection": (options: object) => NativeConnection.connect(options),
  };
  type Connects = (options: object) => Promise<Connection | NativeConnection>;
  const opens: [string, Connects][] = Object.entries(clients);

  /** @returns the error, null where the connection opened */
  async function attempt(address: string, environment: Record<string, string>, connects: Connects): Promise<unknown> {
    const security = readTemporalSecurity({ TEMPORAL_ADDRESS: address, ...environment });
    try {
      const connection = await connectTemporal(address, security, connects);
      await connection.close();
      return null;
    } catch (error) {
      return error;
    }
  }

  test.each(opens)("%s proves itself by an API key or a certificate, under the server's name", async (_name, open) => {
    const [byKey, byCertificate] = [`localhost:${keyed.port}`, `localhost:${mutual.port}`];
    expect(await attempt(byKey, { ...SENT, ...authority() }, open)).toBeNull();
    expect(await attempt(byCertificate, { ...authority(), ...proof("worker") }, open)).toBeNull();
    const named = { ...SENT, ...authority(), TEMPORAL_TLS_SERVER_NAME: "localhost" };
    expect(await attempt(`127.0.0.1:${keyed.port}`, named, open)).toBeNull();
  });

  test.each(opens)("%s says in a sentence what does not fit", async (_name, open) => {
    const [byKey, byCertificate] = [`localhost:${keyed.port}`, `localhost:${mutual.port}`];
    const known = authority();
    const cases: [string, Record<string, string>, string][] = [
      [
        byKey,
        { ...known, TEMPORAL_API_KEY: "another" },
        `TEMPORAL_API_KEY: Temporal at ${byKey} does not accept this API key.`,
      ],
      [byKey, known, `TEMPORAL_API_KEY: Temporal at ${byKey} asks for an API key.`],
      [
        byKey,
        SENT,
        `TEMPORAL_TLS_SERVER_CA_CERT_PATH: the certificate of Temporal at ${byKey} is not trusted; name the file with its authority's certificate.`,
      ],
      [
        `127.0.0.1:${keyed.port}`,
        { ...SENT, ...known },
        `TEMPORAL_TLS_SERVER_NAME: the certificate of Temporal at 127.0.0.1:${keyed.port} is for another name; set this to the name for which it is.`,
      ],
      [byKey, {}, `TEMPORAL_TLS: Temporal at ${byKey} speaks TLS; set this to true.`],
      [
        inject("temporalAddress"),
        { TEMPORAL_TLS: "true" },
        `TEMPORAL_TLS: Temporal at ${inject("temporalAddress")} does not speak TLS, which a TEMPORAL_… variable asks for.`,
      ],
    ];
    const told = await Promise.all(cases.map(([address, environment]) => attempt(address, environment, open)));
    expect(told.map((error) => (error instanceof UserError ? error.message : error))).toEqual(
      cases.map(([, , sentence]) => sentence),
    );
    const unproven = await attempt(byCertificate, known, open);
    expect(unproven).toBeInstanceOf(UserError);
    expect((unproven as Error).message).toMatch(
      /^TEMPORAL_TLS_CLIENT_CERT_PATH: Temporal at localhost:\d+ asks for a client certificate of an authority that it trusts \(\w+\)\.$/,
    );
    // Node's server sends no alert for an authority that it does not know; it hangs up.
    const stranger = await attempt(byCertificate, { ...known, ...proof("stranger") }, open);
    expect((stranger as Error).message).toMatch(/^Temporal at localhost:\d+ can't be reached \(\w+\)\.$/);
    const nobody = await attempt("127.0.0.1:1", { TEMPORAL_TLS: "true" }, open);
    expect((nobody as Error).message).toBe("Temporal at 127.0.0.1:1 can't be reached (ECONNREFUSED).");
  });

  test(
    "a command and its worker go through it, with files named from where the command stands",
    { skip: !IS_LONG },
    async () => {
      const commands: CommandLine = await createCommandLine();
      try {
        await commands.write({
          "miette.yaml": `name: secured
currency: EUR
time_zone: UTC
sources:
  shop:
    connector: csv
    config: { path: data/orders.csv }
    streams: { orders: { key: [id], schema: schemas/orders.yaml } }
`,
          "schemas/orders.yaml": "type: object\nproperties:\n  id: { type: integer }\n",
          "data/orders.csv": "id\n1\n2\n",
        });
        const { namespace } = await createNamespace();
        const environment = {
          TEMPORAL_ADDRESS: `localhost:${keyed.port}`,
          TEMPORAL_NAMESPACE: namespace,
          TEMPORAL_TLS_SERVER_CA_CERT_PATH: relative(PACKAGE_DIRECTORY, at("ca.pem")),
          TEMPORAL_API_KEY_FILE: relative(PACKAGE_DIRECTORY, at("api.key")),
        };
        const refused = await commands.miette(["sync", "--json"], {
          ...environment,
          TEMPORAL_API_KEY_FILE: at("ca.pem"),
        });
        expect(refused).toMatchObject({
          code: 2,
          stderr: expect.stringContaining("TEMPORAL_API_KEY: must be one line"),
        });
        await writeFile(at("api.key"), `${API_KEY}\n`);
        const before = keyed.calls.get("PollWorkflowTaskQueue") ?? 0;
        const { stdout } = succeeded(await commands.miette(["sync", "--json"], environment));
        expect(JSON.parse(stdout)).toMatchObject([{ stream: "shop.orders", inserted: 2 }]);
        expect(keyed.calls.get("StartWorkflowExecution")).toBe(1);
        expect(keyed.calls.get("PollWorkflowTaskQueue")).toBeGreaterThan(before);
      } finally {
        await commands.remove();
      }
    },
  );
});
