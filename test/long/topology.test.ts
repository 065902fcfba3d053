import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PACKAGE_DIRECTORY } from "../../config.ts";
import { ownEnvironment } from "../../stack/environment.ts";
import { freePort, LOOPBACK, requireFreePort } from "../../stack/ports.ts";
import { type PostgresServer, startPostgres } from "../../stack/postgres.ts";
import { findTemporal } from "../../stack/temporal-program.ts";
import { isServing } from "../../stack/temporal.ts";
import { openPool } from "../../warehouse/database.ts";
import { dataOfRound, martAfter, PROJECT, rawAfter } from "../faults-project.ts";
import { makeSuiteFolder } from "../servers.ts";

/**
 * The topology of docker-compose.yml without an engine: Postgres 18 made ready by deploy/postgres/init.sh, Temporal's own
 * server and sql tool on it by deploy/temporal, the warehouse migrated by the command of the job `setup`, and two workers
 * with the prebuilt workflows, one of which is killed in the middle of a run.
 */
const run = promisify(execFile);
const VERSION = "1.32.0";
const BINARIES = join(homedir(), ".cache", "miette", `temporal-server-${VERSION}`);
const PATIENCE = 300_000;

async function missing(): Promise<string | null> {
  if (!process.env["MIETTE_TEST_LONG"]) return "npm run test:long runs it";
  if (!(await has("psql"))) return "psql is not installed";
  if (existsSync(join(BINARIES, "server"))) return null;
  if (!(await has("go"))) return "Go is not installed, by which Temporal's server is built";
  return null;
}

async function has(command: string): Promise<boolean> {
  return await run("which", [command]).then(
    () => true,
    () => false,
  );
}

/** Seven minutes of two cores, once per version. */
async function buildServer(): Promise<void> {
  if (existsSync(join(BINARIES, "server"))) return;
  const making = `${BINARIES}.${randomBytes(4).toString("hex")}`;
  const env = { ...ownEnvironment(), GOBIN: making, GOFLAGS: "-p=1 -trimpath" };
  for (const program of ["tools/sql", "server"]) {
    await run("go", ["install", `go.temporal.io/server/cmd/${program}@v${VERSION}`], {
      env,
      timeout: 3_000_000,
      maxBuffer: 1 << 26,
    });
  }
  await run("mv", ["--no-target-directory", making, BINARIES]);
}

const reason = await missing();

describe.skipIf(reason !== null)(`the topology of docker-compose.yml${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let folder: string;
  let postgres: PostgresServer | undefined;
  let temporal: ChildProcess | undefined;
  const workers: ChildProcess[] = [];
  /** What workers find, and what commands find. */
  let environment: Record<string, string>;
  let asOperator: Record<string, string>;
  let pool: pg.Pool;

  beforeAll(async () => {
    await buildServer();
    folder = await makeSuiteFolder();
    const port = await freePort();
    postgres = await startPostgres(
      {
        name: "the topology",
        directory: join(folder, "postgres"),
        port,
        portVariable: "",
        logs: folder,
        isThrowaway: true,
      },
      () => undefined,
    );
    const secrets = await makeSecrets(folder, port);
    const superuser = new URL(postgres.url);
    const atPostgres = {
      PGHOST: LOOPBACK,
      PGPORT: String(port),
      PGPASSWORD: superuser.password,
      SECRETS_FOLDER: secrets,
    };
    await script("deploy/postgres/init.sh", atPostgres);

    const base = await freePortRange();
    const address = `${LOOPBACK}:${base}`;
    const atTemporal = {
      PATH: `${await makeCommands(folder)}${delimiter}${ownEnvironment()["PATH"]}`,
      POSTGRES_HOST: LOOPBACK,
      POSTGRES_PORT: String(port),
      TEMPORAL_PASSWORD_FILE: join(secrets, "temporal_password"),
      TEMPORAL_ADDRESS: address,
      TEMPORAL_SERVER_CONFIG_FILE_PATH: join(PACKAGE_DIRECTORY, "deploy/temporal/server.yaml.tmpl"),
      DYNAMIC_CONFIG_FILE_PATH: join(PACKAGE_DIRECTORY, "deploy/temporal/dynamic.yaml"),
      FRONTEND_GRPC_PORT: String(base),
    };
    await script("deploy/temporal/schema.sh", atTemporal);
    // The job runs again at every start.
    await script("deploy/temporal/schema.sh", atTemporal);
    const log = await open(join(folder, "temporal.log"), "w");
    temporal = spawn(join(BINARIES, "server"), ["start"], {
      env: { ...ownEnvironment(), ...atTemporal },
      stdio: ["ignore", log.fd, log.fd],
    });
    await log.close();
    await until(() => isServing(address));
    await script("deploy/temporal/namespace.sh", atTemporal);
    await script("deploy/temporal/namespace.sh", atTemporal);

    await writeProject(join(folder, "project"));
    environment = {
      ...ownEnvironment(),
      MIETTE_KEY_FOLDER: join(folder, "keys"),
      MIETTE_HOME: join(folder, "home"),
      MIETTE_PROJECT: join(folder, "project"),
      MIETTE_WORKFLOW_BUNDLE: join(folder, "workflows.js"),
      TEMPORAL_ADDRESS: address,
    };
    asOperator = {
      ...environment,
      DATABASE_URL_FILE: join(secrets, "miette_url"),
      ANALYST_DATABASE_URL_FILE: join(secrets, "analyst_url"),
    };
    environment["DATABASE_URL_FILE"] = join(secrets, "worker_url");
    await run("npm", ["run", "bundle", "--", join(folder, "workflows.js")], { cwd: PACKAGE_DIRECTORY });
    await miette("schedules", "apply");
    pool = openPool(await readFile(join(secrets, "miette_url"), "utf8"), { name: "test", max: 2 });
  }, 3_600_000);

  afterAll(async () => {
    for (const child of [...workers, temporal]) child?.kill("SIGKILL");
    await pool?.end();
    await postgres?.stop();
    await rm(folder, { recursive: true, force: true });
  }, PATIENCE);

  test("a run whose worker is killed is taken up by the other, to exact counts", { timeout: PATIENCE }, async () => {
    for (const name of ["a", "b"]) workers.push(await startWorker(name));
    const running = miette("run", "--json");
    // Both take activities of the four streams; whichever holds one when a page has landed will do.
    await until(async () => (await count("select count(*) from ops.pages")) > 0);
    workers[0]!.kill("SIGKILL");
    await running;
    const expected = rawAfter(1);
    expect(
      await one(
        "select count(*)::int as rows, sum(amount)::text as amount from raw.shop__orders where deleted_at is null",
      ),
    ).toEqual({
      rows: expected.orders.rows,
      amount: expected.orders.amount,
    });
    expect(
      await one(
        "select count(*)::int as rows, count(distinct visit)::int as distinct, sum(visit)::int as sum from raw.shop__visits",
      ),
    ).toEqual(expected.visits);
    expect(await count("select count(*) from ops.quarantine")).toBe(expected.quarantined);
    const mart = martAfter(1);
    expect(
      await one(
        "select count(*)::int as rows, sum(amount)::text as amount, count(distinct customer_id)::int as customers from mart.fct_orders",
      ),
    ).toEqual(mart.orders);
    expect(
      await one(
        "select count(*) filter (where not is_anonymous)::int as known, count(*) filter (where is_anonymous)::int as anonymous from mart.dim_customers",
      ),
    ).toEqual({
      known: mart.customers.known,
      anonymous: mart.customers.anonymous,
    });
    expect(workers[1]!.exitCode).toBeNull();
  });

  test("the workers' health check knows the living", { timeout: PATIENCE }, async () => {
    await run(process.execPath, ["--import", "tsx", "deploy/worker-health.ts"], {
      cwd: PACKAGE_DIRECTORY,
      env: environment,
    });
  });

  test("the analyst reads the mart and nothing else, and no role is a superuser", { timeout: PATIENCE }, async () => {
    const url = await readFile(asOperator["ANALYST_DATABASE_URL_FILE"] ?? "", "utf8");
    const analyst = new pg.Client({ connectionString: url });
    await analyst.connect();
    expect((await analyst.query("select count(*)::int as n from mart.fct_orders")).rows[0]).toEqual({
      n: martAfter(1).orders.rows,
    });
    await expect(analyst.query("select count(*) from raw.shop__orders")).rejects.toMatchObject({ code: "42501" });
    await expect(analyst.query("select count(*) from vault.identifiers")).rejects.toMatchObject({ code: "42501" });
    await analyst.end();
    const superusers = await pool.query("select rolname from pg_roles where rolsuper");
    expect(superusers.rows).toEqual([{ rolname: "postgres" }]);
  });

  async function miette(...args: string[]): Promise<string> {
    const options = { cwd: PACKAGE_DIRECTORY, env: asOperator, maxBuffer: 1 << 26 };
    return (await run(process.execPath, ["--import", "tsx", "cli.ts", ...args], options)).stdout;
  }

  async function startWorker(name: string): Promise<ChildProcess> {
    const log = await open(join(folder, `worker-${name}.log`), "w");
    const stdio = ["ignore", log.fd, log.fd, "ipc"] as const;
    const child = spawn(process.execPath, ["--import", "tsx", "worker.ts"], {
      cwd: PACKAGE_DIRECTORY,
      env: environment,
      stdio: [...stdio],
    });
    await log.close();
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code) => reject(new Error(`worker ${name} ended with ${code} while starting`)));
    });
    return child;
  }

  async function one(sql: string): Promise<Record<string, unknown>> {
    return (await pool.query<Record<string, unknown>>(sql)).rows[0] ?? {};
  }

  async function count(sql: string): Promise<number> {
    return Number(Object.values(await one(sql))[0]);
  }
});

async function script(path: string, env: Record<string, string>): Promise<void> {
  await run("sh", [join(PACKAGE_DIRECTORY, path)], { env: { ...ownEnvironment(), ...env } });
}

async function makeSecrets(folder: string, port: number): Promise<string> {
  const secrets = join(folder, "secrets");
  await mkdir(secrets, { mode: 0o700 });
  for (const role of ["miette", "worker", "analyst", "temporal"]) {
    const password = randomBytes(12).toString("hex");
    await writeFile(join(secrets, `${role}_password`), password, { mode: 0o400 });
    await writeFile(join(secrets, `${role}_url`), `postgres://${role}:${password}@${LOOPBACK}:${port}/miette\n`, {
      mode: 0o400,
    });
  }
  return secrets;
}

/** The programs by the names that they have in Temporal's images. */
async function makeCommands(folder: string): Promise<string> {
  const commands = join(folder, "bin");
  await mkdir(commands);
  const cache = join(homedir(), ".cache", "miette");
  const temporal = await findTemporal({ path: ownEnvironment()["PATH"] ?? "", cache, onProgress: () => undefined });
  await symlink(temporal, join(commands, "temporal"));
  await symlink(join(BINARIES, "sql"), join(commands, "temporal-sql-tool"));
  return commands;
}

async function writeProject(project: string): Promise<void> {
  for (const [name, content] of Object.entries({ ...PROJECT, ...dataOfRound(1) })) {
    await mkdir(dirname(join(project, name)), { recursive: true });
    await writeFile(join(project, name), content);
  }
}

/**
 * The first of the ports that Temporal's services take: those of four, and of their membership ten further on. Its schema keeps
 * them in two bytes with a sign.
 */
async function freePortRange(): Promise<number> {
  for (;;) {
    const base = randomInt(10_000, 32_000);
    const wanted = [0, 1, 2, 3, 10, 11, 12, 13].map((offset) => base + offset);
    const isFree = (port: number): Promise<boolean> =>
      requireFreePort(port, "", "Temporal").then(
        () => true,
        () => false,
      );
    if (!(await Promise.all(wanted.map((port) => isFree(port)))).includes(false)) return base;
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 120_000; !(await condition()); await sleep(100)) {
    if (Date.now() > deadline) throw new Error("it did not come to pass in two minutes");
  }
}
