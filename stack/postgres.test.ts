import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
import { postgresAccount } from "./account.ts";
import { freePort } from "./ports.ts";
import { type PostgresServer, startPostgres } from "./postgres.ts";
import { isRunning } from "./process.ts";

const isRoot = process.getuid?.() === 0;

let template: string;

/** Making a cluster takes 0.7 s on an idle machine, copying one a tenth of that. */
beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), "miette-template-"));
  await chmod(template, 0o755);
  const server = await launch(template);
  await query(server.url, "create table kept as select 7 as number");
  await server.stop();
});

afterAll(() => rm(template, { recursive: true, force: true }));

async function homeWithData(): Promise<string> {
  const home = await temporaryHome();
  execFileSync("cp", ["-a", `${template}/.`, home]);
  return home;
}

async function start(home: string, port?: number, say?: (line: string) => void): Promise<PostgresServer> {
  const server = await launch(home, port, say);
  onTestFinished(() => server.stop());
  return server;
}

async function launch(
  home: string,
  port?: number,
  say: (line: string) => void = () => undefined,
): Promise<PostgresServer> {
  const options = {
    name: "a test",
    directory: join(home, "postgres"),
    port: port ?? (await freePort()),
    portVariable: "MIETTE_PG_PORT",
    logs: join(home, "logs"),
    isThrowaway: true,
  };
  return await startPostgres(options, say);
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: `${url}/postgres` });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

test("a first start makes a UTF-8 cluster on the loopback, with a password, whose log holds no value", async () => {
  const home = await temporaryHome();
  // Someone made the folder before: no data, and nothing to set aside.
  await mkdir(join(home, "postgres"));
  const { url } = await start(home);
  const settings = "server_encoding|listen_addresses|TimeZone|max_prepared_transactions|data_checksums";
  expect(await query(url, `select name, setting from pg_settings where name ~ '^(${settings})$' order by 1`)).toEqual([
    { name: "TimeZone", setting: "UTC" },
    { name: "data_checksums", setting: "on" },
    { name: "listen_addresses", setting: "127.0.0.1" },
    { name: "max_prepared_transactions", setting: "0" },
    { name: "server_encoding", setting: "UTF8" },
  ]);
  expect(await query(url, "select upper('àé') as text, 'Z' < 'a' as by_code_point")).toEqual([
    { text: "ÀÉ", by_code_point: true },
  ]);
  await expect(query(url.replace(/:[0-9a-f]+@/, ":wrong@"), "select 1")).rejects.toMatchObject({ code: "28P01" });
  await expect(query(url, "select 'ada@example.com'::int")).rejects.toMatchObject({ code: "22P02" });
  await expect(query(url, "do $$ begin raise warning 'ada@example.com'; perform 1/0; end $$")).rejects.toMatchObject({
    code: "22012",
  });
  const log = await readFile(join(home, "logs", "postgres.log"), "utf8");
  expect(log).toContain("ready to accept connections");
  expect(log).not.toContain("ada@example.com");
  expect((await stat(join(home, "postgres.password"))).mode & 0o077).toBe(0);
  expect((await readdir(home)).sort()).toEqual(["logs", "postgres", "postgres.password"]);
});

test("a second start serves the same data", async () => {
  const home = await homeWithData();
  const first = await start(home);
  await query(first.url, "insert into kept values (8)");
  await first.stop();
  expect(isRunning(first.identity)).toBe(false);
  const rows = await query((await start(home)).url, "select number from kept order by 1");
  expect(rows).toEqual([{ number: 7 }, { number: 8 }]);
});

test("a pid file of a dead process, of another program, or without a number does not keep it from starting", async () => {
  const home = await homeWithData();
  const data = join(home, "postgres");
  // Under Postgres's own account: a stranger's process is no obstacle for Postgres itself.
  const other = spawn("sleep", ["60"], { ...(await postgresAccount(data)), cwd: "/", stdio: "ignore" });
  onTestFinished(() => void other.kill());
  const { uid, gid } = await stat(data);
  for (const pid of ["2147483646", String(other.pid), "rubbish", ""]) {
    const file = join(data, "postmaster.pid");
    await writeFile(file, `${pid}\n${data}\n1700000000\n5432\n\n127.0.0.1\n  1 1\nready   \n`);
    if (isRoot) await chown(file, uid, gid);
    const server = await start(home);
    expect(await query(server.url, "select 1 as one")).toEqual([{ one: 1 }]);
    await server.stop();
  }
  expect(other.exitCode ?? other.signalCode).toBeNull();
});

test("what a killed server left, a statement that still runs included, does not keep it from starting", async () => {
  const home = await homeWithData();
  const first = await start(home);
  await query(first.url, "insert into kept values (8)");
  const running = query(first.url, "select count(*) from generate_series(1, 10000000000) as n").catch(() => "cut off");
  await expect
    .poll(() => query(first.url, "select 1 from pg_stat_activity where query like '%1000000%'"))
    .not.toEqual([]);
  process.kill(first.identity.pid, "SIGKILL");
  await first.exited;
  const second = await start(home);
  expect(await query(second.url, "select max(number) as number from kept")).toEqual([{ number: 8 }]);
  expect(await running).toBe("cut off");
});

test("a server that outlived whoever started it is replaced, so that its port is free again", async () => {
  const home = await homeWithData();
  const port = await freePort();
  const first = await start(home, port);
  const second = await start(home, port);
  expect(await first.exited).toEqual({ code: 0, signal: null });
  expect(await query(second.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("data that were never finished are set aside and made anew", async () => {
  const home = await temporaryHome();
  const data = join(home, "postgres");
  await mkdir(join(data, "base"), { recursive: true });
  await writeFile(join(data, "PG_VERSION"), "18\n");
  await mkdir(join(home, "postgres.making", "base"), { recursive: true });
  const lines: string[] = [];
  const { url } = await start(home, undefined, (line) => lines.push(line));
  expect(await query(url, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(lines).toEqual([expect.stringContaining("were incomplete and are made anew")]);
  const names = await readdir(home);
  expect(names).not.toContain("postgres.making");
  expect(names.filter((name) => name.startsWith("postgres.broken-"))).toHaveLength(1);
});

test("a lost password file is replaced by a new password", async () => {
  const home = await homeWithData();
  const first = await start(home);
  await first.stop();
  await rm(join(home, "postgres.password"));
  const second = await start(home);
  expect(second.url.split("@")[0]).not.toBe(first.url.split("@")[0]);
  expect(await query(second.url, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("data of another version of Postgres are named, not touched", async () => {
  const home = await temporaryHome();
  await mkdir(join(home, "postgres", "global"), { recursive: true });
  await writeFile(join(home, "postgres", "PG_VERSION"), "17\n");
  await writeFile(join(home, "postgres", "global", "pg_control"), "");
  await expect(start(home)).rejects.toMatchObject({
    name: "UserError",
    message: expect.stringContaining(`${home}/postgres holds data of Postgres 17, not 18; move it away`),
  });
});

test("a taken port is named with the variable that changes it", async () => {
  const home = await homeWithData();
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(() => void other.close());
  const { port } = other.address() as { port: number };
  await expect(start(home, port)).rejects.toMatchObject({
    name: "UserError",
    message: `port ${port} for Postgres (a test) is taken by another program; set MIETTE_PG_PORT to a free one.`,
  });
});

test.skipIf(!isRoot)("as root, a home that other accounts may not enter has its data elsewhere, linked", async () => {
  const outside = await temporaryHome();
  await chmod(outside, 0o700);
  const home = join(outside, "home");
  const first = await start(home);
  await query(first.url, "create table kept as select 7 as number");
  await first.stop();
  expect((await lstat(join(home, "postgres"))).isSymbolicLink()).toBe(true);
  const place = dirname(await realpath(join(home, "postgres")));
  onTestFinished(async () => await rm(place, { recursive: true, force: true }));
  expect((await stat(join(home, "postgres"))).uid).not.toBe(0);
  expect(await query((await start(home)).url, "select number from kept")).toEqual([{ number: 7 }]);
});

test.skipIf(!isRoot)("as root, data move along when their home is closed to other accounts later", async () => {
  const home = await homeWithData();
  await chmod(home, 0o700);
  const first = await start(home);
  const place = dirname(await realpath(join(home, "postgres")));
  onTestFinished(async () => await rm(place, { recursive: true, force: true }));
  expect(await query(first.url, "select number from kept")).toEqual([{ number: 7 }]);
  // A link whose place is gone, as after a move to another machine, is made anew.
  await first.stop();
  await rm(place, { recursive: true });
  await start(home);
  const newPlace = dirname(await realpath(join(home, "postgres")));
  onTestFinished(async () => await rm(newPlace, { recursive: true, force: true }));
  expect(newPlace).not.toBe(place);
});
