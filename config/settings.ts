import { join, resolve } from "node:path";
import { UserError, UserErrors } from "../domain/errors.ts";
import { readVariable } from "./secret-files.ts";
import { readTemporalSecurity, type TemporalSecurity } from "./temporal-security.ts";

const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

/** Where this installation keeps its state and finds its servers: everything that the environment decides. */
export interface Settings {
  /** Absolute path of the folder with Postgres' data, Temporal's database, keys and logs. */
  home: string;
  /** Absolute path of the warehouse's Postgres data, in the home. No key may lie in it. */
  dataDirectory: string;
  /** Absolute path of the project that runs; the demo store by default. */
  projectDirectory: string;
  postgresPort: number;
  temporalPort: number;
  uiPort: number;
  /** Port of the demo shop's own Postgres, a cluster apart from the warehouse's. */
  demoPostgresPort: number;
  /** URL of a warehouse that replaces the embedded Postgres; null: embedded. Holds a password. */
  databaseUrl: string | null;
  /** URL of the warehouse for a role that only reads the mart, where DATABASE_URL replaces the embedded one; else null. */
  analystDatabaseUrl: string | null;
  /** `host:port` of a Temporal cluster that replaces the embedded server; null: embedded. */
  temporalAddress: string | null;
  temporalNamespace: string;
  /** TLS and API key of that cluster; the embedded server is spoken to in clear. */
  temporalSecurity: TemporalSecurity;
  logLevel: (typeof LOG_LEVELS)[number];
  /** Absolute path of the folder with a file per generation of the keys that wrap all others. */
  keyFolder: string;
  /** The same keys from the environment instead of files; null: files. */
  keyGenerations: ReadonlyMap<number, Buffer> | null;
  /** Absolute path of the program before a key management service; null: none. */
  kmsProgram: string | null;
  /** `host:port` at which the worker serves its metrics; null: nowhere. */
  metricsAddress: string | null;
  /** Base URL of the OTLP collector that gets the worker's traces; null: none does. */
  tracesEndpoint: string | null;
  /** Absolute path of a bundle of the workflows made by `npm run bundle`; null: the worker bundles them as it starts. */
  workflowBundle: string | null;
  /** What Node itself was told by NODE_OPTIONS. */
  nodeOptions: string;
  /** What callers of the requests API prove themselves with; null: it is not served. */
  apiToken: string | null;
  /** Origins that the API may call back, as in `https://shop.example`. */
  apiCallbacks: readonly string[];
  /** The version as which a worker registers with Temporal's worker deployments; null: unversioned. */
  workerVersion: { deploymentName: string; buildId: string } | null;
}

export type Environment = Record<string, string | undefined>;

/**
 * Settings from the environment. An unset or empty variable takes its default. Throws UserErrors that name every
 * wrong variable; no message holds a variable's value, which may be a secret.
 *
 * @param packageDirectory absolute path of the checkout, where `.miette/` and `demo/` lie
 */
export function readSettings(env: Environment, packageDirectory: string): Settings {
  const errors: UserError[] = [];
  const read = <T>(name: string, fallback: T, parse: (text: string) => T | null, expected: string): T => {
    const text = variable(name);
    if (text === undefined || text === "") return fallback;
    const value = parse(text);
    if (value === null) errors.push(new UserError(`must be ${expected}.`, { key: name }));
    return value ?? fallback;
  };
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      errors.push(error);
      return undefined;
    }
  };
  const variable = (name: string): string | undefined => attempt(() => readVariable(env, name));
  const ports = new Map<number, string>();
  const port = (name: string, fallback: number): number => {
    const value = read(name, fallback, parsePort, "a port, a whole number from 1 to 65535");
    const other = ports.get(value);
    if (other) errors.push(new UserError(`is port ${value}, as ${other} is; give each its own.`, { key: name }));
    ports.set(value, name);
    return value;
  };

  const demo = join(packageDirectory, "demo");
  const projectDirectory = resolve(env.MIETTE_PROJECT || demo);
  const homeByDefault = join(projectDirectory === demo ? packageDirectory : projectDirectory, ".miette");
  const home = resolve(env.MIETTE_HOME || homeByDefault);
  const settings: Settings = {
    home,
    dataDirectory: join(home, "postgres"),
    projectDirectory,
    postgresPort: port("MIETTE_PG_PORT", 54320),
    temporalPort: port("MIETTE_TEMPORAL_PORT", 7233),
    uiPort: port("MIETTE_UI_PORT", 8233),
    demoPostgresPort: port("MIETTE_DEMO_PG_PORT", 54330),
    databaseUrl: read<string | null>(
      "DATABASE_URL",
      null,
      parseDatabaseUrl,
      "a URL with a database, as in postgres://user@host:5432/miette",
    ),
    analystDatabaseUrl: read<string | null>(
      "ANALYST_DATABASE_URL",
      null,
      parseDatabaseUrl,
      "a URL with a database, as in postgres://analyst@host:5432/miette",
    ),
    temporalAddress: read<string | null>(
      "TEMPORAL_ADDRESS",
      null,
      parseAddress,
      "a host and a port, as in temporal.internal:7233",
    ),
    temporalNamespace: env.TEMPORAL_NAMESPACE || "default",
    temporalSecurity: attempt(() => readTemporalSecurity(env)) ?? { tls: false },
    logLevel: read<Settings["logLevel"]>("MIETTE_LOG_LEVEL", "info", parseLogLevel, `one of ${LOG_LEVELS.join(", ")}`),
    keyFolder: resolve(env.MIETTE_KEY_FOLDER || join(home, "keys")),
    keyGenerations: read<Settings["keyGenerations"]>(
      "MIETTE_KEY_GENERATIONS",
      null,
      parseKeys,
      "keys as in 1:<64 hex digits>,2:<64 hex digits>, each generation once",
    ),
    kmsProgram: env.MIETTE_KMS_PROGRAM ? resolve(env.MIETTE_KMS_PROGRAM) : null,
    metricsAddress: read<string | null>(
      "MIETTE_METRICS_PORT",
      null,
      (text) => (parsePort(text) === null ? parseAddress(text) : `127.0.0.1:${text}`),
      "a port, or a host and a port where another machine reads the metrics, as in 0.0.0.0:9464",
    ),
    tracesEndpoint: read<string | null>(
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      null,
      (text) => (/^https?:\/\//.test(text) && URL.canParse(text) ? text : null),
      "an http or https URL, as in http://127.0.0.1:4318",
    ),
    nodeOptions: env.NODE_OPTIONS ?? "",
    workflowBundle: env.MIETTE_WORKFLOW_BUNDLE ? resolve(env.MIETTE_WORKFLOW_BUNDLE) : null,
    apiToken: read<string | null>(
      "MIETTE_API_TOKEN",
      null,
      (text) => (/^\S{32,1000}$/.test(text) ? text : null),
      "32 characters or more without a blank, as openssl rand -hex 32 makes them",
    ),
    apiCallbacks: read<readonly string[]>(
      "MIETTE_API_CALLBACKS",
      [],
      parseOrigins,
      "origins with commas between, as in https://shop.example,https://crm.example:8443",
    ),
    workerVersion: null,
  };
  const named = (name: string, pattern: RegExp, expected: string): string =>
    read(name, "", (text) => (pattern.test(text) ? text : null), expected);
  const deploymentName = named(
    "MIETTE_WORKER_DEPLOYMENT",
    /^[A-Za-z0-9][\w-]{0,99}$/,
    "up to 100 letters, digits, _ and -, as in miette-eu",
  );
  const buildId = named(
    "MIETTE_WORKER_BUILD_ID",
    /^[A-Za-z0-9][\w.+-]{0,99}$/,
    "up to 100 letters, digits, _, -, + and dots, as in 2026-01-31.1",
  );
  if (buildId) settings.workerVersion = { deploymentName: deploymentName || "miette", buildId };
  else if (env.MIETTE_WORKER_DEPLOYMENT && !env.MIETTE_WORKER_BUILD_ID) {
    errors.push(new UserError("is needed beside MIETTE_WORKER_DEPLOYMENT.", { key: "MIETTE_WORKER_BUILD_ID" }));
  }
  if (settings.keyGenerations && settings.kmsProgram) {
    errors.push(
      new UserError("names a second place of keys beside MIETTE_KMS_PROGRAM; unset one.", {
        key: "MIETTE_KEY_GENERATIONS",
      }),
    );
  }
  if (errors.length) throw new UserErrors(errors);
  return settings;
}

function parseOrigins(text: string): string[] | null {
  const origins = text.split(",").map((each) => each.trim());
  const isOrigin = (each: string): boolean =>
    /^https?:\/\//.test(each) && URL.canParse(each) && new URL(each).origin === each;
  return origins.every(isOrigin) ? origins : null;
}

function parsePort(text: string): number | null {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65535 ? Number(text) : null;
}

function parseDatabaseUrl(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const { protocol, pathname } = new URL(text);
  return /^postgres(ql)?:$/.test(protocol) && pathname.length > 1 ? text : null;
}

function parseAddress(text: string): string | null {
  const [, port] = /^(?:[\w.-]+|\[[0-9a-f:]+\]):(\d+)$/i.exec(text) ?? [];
  return port !== undefined && parsePort(port) !== null ? text : null;
}

function parseKeys(text: string): ReadonlyMap<number, Buffer> | null {
  const keys = new Map<number, Buffer>();
  for (const part of text.split(",")) {
    const [, generation, hex] = /^([1-9]\d{0,8}):([0-9a-f]{64})$/i.exec(part.trim()) ?? [];
    if (!generation || !hex || keys.has(Number(generation))) return null;
    keys.set(Number(generation), Buffer.from(hex, "hex"));
  }
  return keys;
}

function parseLogLevel(text: string): Settings["logLevel"] | null {
  return LOG_LEVELS.find((level) => level === text) ?? null;
}
