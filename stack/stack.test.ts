import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { temporaryHome } from "../test/home.ts";
import { freePort, requireFreePort } from "./ports.ts";
import { identifyProcess, isRunning } from "./process.ts";
import { runFolder, socketPath } from "./run-folder.ts";
import { attachStack, type Stack, type StackSettings, stackStatus, stopStack } from "./stack.ts";
import { isServing } from "./temporal.ts";

async function newHome(): Promise<StackSettings> {
  const home = await temporaryHome();
  onTestFinished(async () => void (await stopStack(home)));
  const ports = { postgresPort: await freePort(), temporalPort: await freePort(), uiPort: await freePort() };
  return { home, ...ports, databaseUrl: null, temporalAddress: null, isThrowaway: true };
}

/** A home with Postgres alone starts in half the time. */
async function newHomeWithoutTemporal(): Promise<StackSettings> {
  return { ...(await newHome()), temporalAddress: "127.0.0.1:1" };
}

const silent = (): void => undefined;

async function answer(stack: Stack): Promise<unknown> {
  const client = new pg.Client({ connectionString: stack.superuserUrl!, connectionTimeoutMillis: 2_000 });
  client.on("error", silent);
  try {
    await client.connect();
    return (await client.query("select 1 as one")).rows[0];
  } catch {
    return null;
  } finally {
    await client.end();
  }
}

async function pidOf(home: string, name: string): Promise<number> {
  const status = await stackStatus(home);
  return status?.services.find((service) => service.name.startsWith(name))?.pid ?? 0;
}

test("two homes run side by side, and each ends with nothing left running", async () => {
  const [first, second] = [await newHome(), await newHome()];
  const stacks = await Promise.all([attachStack(first, silent), attachStack(second, silent)]);
  const processes = [];
  for (const [index, stack] of stacks.entries()) {
    const { home, postgresPort, temporalPort, uiPort } = [first, second][index]!;
    expect(new URL(stack.superuserUrl!).port).toBe(String(postgresPort));
    expect(stack.temporalAddress).toBe(`127.0.0.1:${temporalPort}`);
    expect(await answer(stack)).toEqual({ one: 1 });
    expect(await isServing(stack.temporalAddress)).toBe(true);
    expect((await fetch(`http://127.0.0.1:${uiPort}/`)).status).toBe(200);
    for (const name of ["Postgres", "Temporal"]) processes.push(identifyProcess(await pidOf(home, name))!);
    processes.push(identifyProcess((await stackStatus(home))!.pid)!);
  }
  await Promise.all(stacks.map((stack) => stack.stop()));
  expect(processes).toHaveLength(6);
  expect(processes.filter(isRunning)).toEqual([]);
});

test("commands share the servers of a home, and the last to leave stops them", async () => {
  const settings = await newHomeWithoutTemporal();
  const [first, second] = await Promise.all([attachStack(settings, silent), attachStack(settings, silent)]);
  expect(await stackStatus(settings.home)).toMatchObject({ users: 2, isDetached: false });
  expect(first.superuserUrl).toBe(second.superuserUrl);
  await first.stop();
  expect(await answer(second)).toEqual({ one: 1 });
  await second.stop();
  expect(await stackStatus(settings.home)).toBeNull();
  // A command that comes while the last one's servers are ending waits for them and starts its own.
  const third = await attachStack(settings, silent);
  const leaving = third.stop();
  const fourth = await attachStack(settings, silent);
  await leaving;
  expect(await answer(fourth)).toEqual({ one: 1 });
});

test("the lease of a killed command ends with it", async () => {
  const settings = await newHomeWithoutTemporal();
  const script = `
    const { attachStack } = await import(${JSON.stringify(new URL("stack.ts", import.meta.url).href)});
    await attachStack(${JSON.stringify(settings)}, () => undefined);
    console.log("attached");`;
  const args = ["--import", "tsx", "--input-type=module", "-e", script];
  const command = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(command.stdout, "data");
  const postgres = identifyProcess(await pidOf(settings.home, "Postgres"))!;
  command.kill("SIGKILL");
  await expect.poll(() => isRunning(postgres), { timeout: 20_000 }).toBe(false);
  await expect.poll(() => stackStatus(settings.home)).toBeNull();
});

test("what is killed while the stack is up is started again, and said", async () => {
  const settings = await newHome();
  const lines: string[] = [];
  const stack = await attachStack(settings, (line) => lines.push(line));
  for (const name of ["Postgres (the warehouse)", "Temporal"]) {
    process.kill(await pidOf(settings.home, name), "SIGKILL");
    await expect.poll(() => lines, { timeout: 30_000 }).toContain(`${name} runs again.`);
    expect(lines).toContain(`${name} ended with signal SIGKILL; it is started again.`);
  }
  expect(await answer(stack)).toEqual({ one: 1 });
  expect(await isServing(stack.temporalAddress)).toBe(true);
  const { services } = (await stackStatus(settings.home))!;
  expect(services.map(({ restarts }) => restarts)).toEqual([1, 1]);
});

test("a killed supervisor is replaced, and what it left running with it", async () => {
  const settings = await newHomeWithoutTemporal();
  const stack = await attachStack(settings, silent);
  for (let round = 0; round < 3; round++) {
    const old = (await stackStatus(settings.home))!.pid;
    const postgres = identifyProcess(await pidOf(settings.home, "Postgres"))!;
    process.kill(old, "SIGKILL");
    await expect.poll(() => pidOf(settings.home, "Postgres"), { timeout: 30_000 }).toBeGreaterThan(0);
    expect((await stackStatus(settings.home))!.pid).not.toBe(old);
    expect(isRunning(postgres)).toBe(false);
    expect(await answer(stack)).toEqual({ one: 1 });
  }
  await stack.stop();
  expect(await stackStatus(settings.home)).toBeNull();
});

test("detached servers and programs stay until they are stopped, which other commands are told", async () => {
  const settings = await newHomeWithoutTemporal();
  const stack = await attachStack(settings, silent);
  const script = `
    process.on("disconnect", () => process.exit());
    process.on("SIGTERM", () => process.exit());
    console.log("the program's own words");
    process.send("ready");`;
  await stack.startProgram("The program", {
    command: process.execPath,
    args: ["-e", script],
    cwd: "/",
    env: {},
    watched: [],
    log: "program.log",
    readyWithin: 20_000,
  });
  expect(await readFile(join(settings.home, "logs", "program.log"), "utf8")).toBe("the program's own words\n");
  await stack.detach();
  await stack.stop();
  expect(await stackStatus(settings.home)).toMatchObject({
    users: 0,
    isDetached: true,
    services: [{ name: "Postgres (the warehouse)" }, { name: "The program" }],
  });

  const other = await attachStack(settings, silent);
  const program = identifyProcess(await pidOf(settings.home, "The program"))!;
  process.kill(program.pid, "SIGKILL");
  await expect.poll(() => pidOf(settings.home, "The program"), { timeout: 20_000 }).not.toBe(program.pid);
  expect(await stopStack(settings.home)).toBe(true);
  await other.ended;
  expect(await stackStatus(settings.home)).toBeNull();
  expect(await stopStack(settings.home)).toBe(false);
});

test("a program that ends before it is ready is an error that names its log", async () => {
  const settings = { ...(await newHomeWithoutTemporal()), databaseUrl: "postgres://127.0.0.1:1/none" };
  const stack = await attachStack(settings, silent);
  const own = { command: process.execPath, args: ["-e", "process.exit(3)"], cwd: "/", log: "program.log" };
  const program = { ...own, env: {}, watched: [] };
  await expect(stack.startProgram("The program", { ...program, readyWithin: 20_000 })).rejects.toThrow(
    `The program ended with exit code 3 while starting; its log ${settings.home}/logs/program.log tells why.`,
  );
  const missing = { ...program, command: "/nowhere/program", readyWithin: null };
  await expect(stack.startProgram("Another program", missing)).rejects.toThrow("ended with it could not be run");
});

test("a further Postgres of a home has data and a port of its own", async () => {
  const settings = await newHomeWithoutTemporal();
  const stack = await attachStack(settings, silent);
  const cluster = { name: "the shop", folder: "shop", port: await freePort(), portVariable: "MIETTE_DEMO_PG_PORT" };
  const url = await stack.startCluster(cluster);
  expect(await answer({ ...stack, superuserUrl: url })).toEqual({ one: 1 });
  expect(new URL(url).port).toBe(String(cluster.port));
  expect(await readdir(settings.home)).toEqual(expect.arrayContaining(["postgres", "shop", "shop.password"]));
});

test.each([
  ["postgresPort", "MIETTE_PG_PORT", "Postgres (the warehouse)"],
  ["temporalPort", "MIETTE_TEMPORAL_PORT", "Temporal"],
  ["uiPort", "MIETTE_UI_PORT", "Temporal's web interface"],
] as const)("a taken port is named with the variable that changes it: %s", async (key, variable, server) => {
  const home = await newHome();
  const settings = key === "postgresPort" ? home : { ...home, databaseUrl: "postgres://127.0.0.1:1/none" };
  const other = createServer().listen(settings[key], "127.0.0.1");
  await once(other, "listening");
  onTestFinished(() => void other.close());
  await expect(attachStack(settings, silent)).rejects.toMatchObject({
    name: "UserError",
    message: `port ${settings[key]} for ${server} is taken by another program; set ${variable} to a free one.`,
  });
  expect(await stackStatus(settings.home)).toBeNull();
  // What was starting beside it has ended too, so that the next command finds its ports free.
  if (key === "postgresPort") expect(await isServing(`127.0.0.1:${settings.temporalPort}`)).toBe(false);
  await expect(requireFreePort(settings.temporalPort, "", "").catch((error: Error) => error.message)).resolves.toBe(
    key === "temporalPort"
      ? `port ${settings.temporalPort} for  is taken by another program; set  to a free one.`
      : undefined,
  );
});

test("a home with a long path works, and one that cannot be written is named", async () => {
  const settings = await newHomeWithoutTemporal();
  const long = { ...settings, home: join(settings.home, "a".repeat(60), "b".repeat(60)) };
  const stack = await attachStack(long, silent);
  expect(await answer(stack)).toEqual({ one: 1 });
  await stack.stop();

  const file = join(settings.home, "file");
  await writeFile(file, "");
  await expect(attachStack({ ...settings, home: file }, silent)).rejects.toMatchObject({
    name: "UserError",
    message: `the folder ${file} cannot be written (EEXIST); set MIETTE_HOME to one that can.`,
  });
  await chmod(file, 0o600);
  await rm(file);
});

test("a command that needs a server which is about to end has it started anew", async () => {
  const settings = await newHomeWithoutTemporal();
  const [first, second] = await Promise.all([attachStack(settings, silent), attachStack(settings, silent)]);
  const cluster = { name: "the shop", folder: "shop", port: await freePort(), portVariable: "MIETTE_DEMO_PG_PORT" };
  await first.startCluster(cluster);
  // It takes its time to end, and what it uses ends only after it.
  const script = `process.on("SIGTERM", () => setTimeout(process.exit, 1_000)); process.send("ready");`;
  await first.startProgram("The program", {
    command: process.execPath,
    args: ["-e", script],
    cwd: "/",
    env: {},
    watched: [],
    log: "program.log",
    readyWithin: 20_000,
  });
  const leaving = first.stop();
  const superuserUrl = await second.startCluster(cluster);
  await leaving;
  expect(await answer({ ...second, superuserUrl })).toEqual({ one: 1 });
  await second.stop();
});

test("a program that runs already tells of which watched variables it has other values", async () => {
  const settings = { ...(await newHomeWithoutTemporal()), databaseUrl: "postgres://127.0.0.1:1/none" };
  const stack = await attachStack(settings, silent);
  const script = 'process.on("SIGTERM", () => process.exit()); process.send("ready");';
  const program = {
    command: process.execPath,
    args: ["-e", script],
    cwd: "/",
    log: "program.log",
    readyWithin: 20_000,
  };
  const start = (env: Record<string, string>) =>
    stack.startProgram("The program", { ...program, env, watched: ["PASSWORD", "REGION"] });
  expect(await start({ PASSWORD: "old", TERM: "xterm" })).toEqual([]);
  expect(await start({ PASSWORD: "old", TERM: "dumb" })).toEqual([]);
  expect(await start({ PASSWORD: "new", REGION: "eu" })).toEqual(["PASSWORD", "REGION"]);
  await stack.stop();
});

test("a command and a supervisor of another version are told apart, and none waits for the other", async () => {
  const settings = { ...(await newHomeWithoutTemporal()), databaseUrl: "postgres://127.0.0.1:1/none" };
  const sentence = "were started by another version of miette; stop them with miette down";
  await runFolder(settings.home);
  const path = await socketPath(settings.home);
  // As supervisors answered before there were versions: with a lease to whoever asked.
  const old = createServer((socket) => socket.on("data", () => socket.write('{"type":"leased"}\n'))).listen(path);
  await once(old, "listening");
  await expect(attachStack(settings, silent)).rejects.toThrow(sentence);
  old.close();
  await once(old, "close");
  await rm(path, { force: true });

  const stack = await attachStack(settings, silent);
  const command = connect(path);
  let heard = "";
  command.setEncoding("utf8").on("data", (text: string) => (heard += text));
  command.write('{"type":"lease"}\n');
  await expect.poll(() => heard).toContain('{"type":"stopping"}');
  expect(heard).toContain(sentence);
  command.destroy();
  expect(await stackStatus(settings.home)).toMatchObject({ users: 1 });
  await stack.stop();
});
