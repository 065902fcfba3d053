import { renameSync, writeFileSync } from "node:fs";
import { chmod, readFile, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { CACHE_FOLDER, SEARCH_PATH } from "./environment.ts";
import { type KeptServer, keepRunning } from "./keep.ts";
import { claimLock } from "./lock.ts";
import {
  type Need,
  onMessage,
  OTHER_VERSION,
  packError,
  PROTOCOL,
  type Ready,
  type Request,
  send,
} from "./messages.ts";
import { boundLogs } from "./logs.ts";
import { startPostgres } from "./postgres.ts";
import { type EndSteps, endProcess, type ProcessIdentity, type RunningServer } from "./process.ts";
import { startProgram } from "./program.ts";
import { canConnect, PROCESSES, runFolder, socketPath } from "./run-folder.ts";
import { startTemporal } from "./temporal.ts";
import { findTemporal } from "./temporal-program.ts";

/**
 * The supervisor of one home: the parent of its servers, in a session of its own, so that neither a Ctrl-C nor the end
 * of a command reaches them. Commands connect to its socket; a connection is a lease on what it asked for. What nobody
 * holds is stopped, and with the last lease the supervisor ends.
 */

/** A command that started the supervisor connects within milliseconds; one that was killed before never does. */
const FIRST_LEASE_WITHIN = 15_000;

const LOGS_EVERY = 60_000;

/** Programs use Temporal, and both use Postgres, so they end in this order. */
const END_ORDER: readonly Need["kind"][] = ["program", "temporal", "postgres"];

type Holder = Socket | "detached";
type Started = RunningServer & Partial<Ready>;

interface Service {
  need: Need;
  holders: Set<Holder>;
  kept: Promise<KeptServer<Started>>;
  /** What `kept` resolved to. */
  server: KeptServer<Started> | null;
  ending: Promise<void> | null;
}

const home = process.argv[2] ?? "";
const folder = await runFolder(home);
const path = await socketPath(home);
const processesFile = join(folder, PROCESSES);
const log = pino({ name: "supervisor" }, pino.destination({ dest: 2, sync: true }));
const services = new Map<string, Service>();
const sockets = new Set<Socket>();
const leases = new Set<Holder>();
const running = new Map<string, { identity: ProcessIdentity; end: EndSteps }>();
let isEnding = false;

const releaseLock = await becomeTheOnlyOne();
await endOrphans();
await rm(path, { force: true });
const server = createServer(accept);
server.listen(path);
await chmod(path, 0o600).catch(() => undefined);
for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => void endAll());
process.on("SIGHUP", () => undefined);
setTimeout(endWhenUnused, FIRST_LEASE_WITHIN);
// What a disk without room refuses is tried again a minute later.
setInterval(() => void boundLogs(join(home, "logs")).catch(() => undefined), LOGS_EVERY);

function accept(socket: Socket): void {
  sockets.add(socket);
  socket.on("error", () => undefined);
  socket.on("close", () => {
    sockets.delete(socket);
    void release(socket);
  });
  onMessage<Request>(socket, (request) => {
    if (request.type === "lease") lease(socket, request.protocol);
    if (request.type === "need") void serve(socket, request.id, request.need);
    if (request.type === "leave") void release(socket).then(() => socket.end());
    if (request.type === "stop") void endAll();
    if (request.type === "status") report(socket);
    if (request.type === "detach") detach(socket);
  });
}

function lease(socket: Socket, protocol: number | undefined): void {
  if (isEnding) return;
  if (protocol === PROTOCOL) leases.add(socket);
  send(socket, { type: "leased", protocol: PROTOCOL });
  if (protocol !== undefined) return;
  // A command from before the numbers would wait for ever; this is how it hears that there is nothing to wait for.
  send(socket, { type: "line", line: OTHER_VERSION });
  send(socket, { type: "stopping" });
}

async function serve(socket: Socket, id: number, need: Need): Promise<void> {
  try {
    const ready = await hold(socket, need);
    send(socket, { type: "ready", id, ready });
  } catch (error) {
    // While all are being stopped there is no answer: the command asks the next supervisor.
    if (!isEnding) send(socket, { type: "failed", id, error: packError(error) });
  }
}

async function hold(socket: Socket, need: Need): Promise<Ready> {
  for (let last = services.get(need.name); last?.ending; last = services.get(need.name)) await last.ending;
  if (isEnding || !leases.has(socket)) throw new Error("the lease has ended");
  let service = services.get(need.name);
  if (!service) {
    const kept = keepRunning(need.name, () => start(need), say);
    service = { need, holders: new Set(), kept, server: null, ending: null };
    services.set(need.name, service);
  }
  service.holders.add(socket);
  try {
    service.server = await service.kept;
  } catch (error) {
    if (services.get(need.name) === service) services.delete(need.name);
    throw error;
  }
  const { url = null, uiUrl = null } = service.server.current();
  return { url, uiUrl, outdated: outdatedNames(service.need, need) };
}

function outdatedNames(running: Need, asked: Need): string[] {
  if (running.kind !== "program" || asked.kind !== "program") return [];
  return asked.options.watched.filter((name) => running.options.env[name] !== asked.options.env[name]);
}

async function start(need: Need): Promise<Started> {
  const started = await startNeed(need);
  running.set(need.name, { identity: started.identity, end: started.end });
  remember();
  return started;
}

async function startNeed(need: Need): Promise<Started> {
  if (need.kind === "postgres") return await startPostgres(need.options, say);
  if (need.kind === "program") return await startProgram(need.name, need.options);
  const program = await findTemporal({ path: SEARCH_PATH, cache: CACHE_FOLDER, onProgress: say });
  return await startTemporal(program, need.options);
}

function detach(socket: Socket): void {
  leases.add("detached");
  for (const { holders } of services.values()) if (holders.has(socket)) holders.add("detached");
  send(socket, { type: "detached" });
}

async function release(holder: Holder): Promise<void> {
  // A connection without a lease, which only asked for the status, ends nothing.
  if (!leases.delete(holder)) return;
  for (const { holders } of services.values()) holders.delete(holder);
  if (leases.size === 0) return await endAll();
  await endServices([...services.values()].filter(({ holders }) => holders.size === 0));
}

async function endServices(ended: Service[]): Promise<void> {
  let earlier: Promise<unknown> = Promise.resolve();
  for (const kind of END_ORDER) {
    const before = earlier;
    const now = ended.filter(({ need }) => need.kind === kind).map((each) => endService(each, before));
    // Of a kind there may be none: the kinds before it are waited for all the same.
    earlier = Promise.all([before, ...now]);
  }
  await earlier;
}

/** From now on whoever needs the service waits for its end and has it started anew, also while others end before it. */
async function endService(service: Service, before: Promise<unknown>): Promise<void> {
  service.ending ??= (async () => {
    await before;
    const kept = await service.kept.catch(() => null);
    await kept?.stop();
    services.delete(service.need.name);
    running.delete(service.need.name);
    remember();
  })();
  await service.ending;
}

function endWhenUnused(): void {
  if (leases.size === 0) void endAll();
}

async function endAll(): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  server.close();
  await rm(path, { force: true });
  for (const socket of sockets) send(socket, { type: "stopping" });
  await endServices([...services.values()]);
  await rm(processesFile, { force: true });
  await releaseLock();
  process.exit(0);
}

function report(socket: Socket): void {
  const states = [...services.values()].flatMap(({ need, server }) =>
    server ? { name: need.name, pid: server.current().identity.pid, restarts: server.restarts() } : [],
  );
  const isDetached = leases.has("detached");
  const users = leases.size - Number(isDetached);
  send(socket, { type: "status", status: { pid: process.pid, users, isDetached, services: states } });
}

function say(line: string): void {
  log.info(line);
  for (const socket of sockets) send(socket, { type: "line", line });
}

/** Waits for a supervisor that is ending; ends at once when another serves already. */
async function becomeTheOnlyOne(): Promise<() => Promise<void>> {
  for (;;) {
    const lock = await claimLock(folder);
    if (lock) return lock;
    if (await canConnect(path)) process.exit(0);
    await sleep(50);
  }
}

/**
 * Which processes to end if this one is killed, for the next supervisor. Written in one go, since several servers
 * start at once.
 */
function remember(): void {
  writeFileSync(`${processesFile}.new`, JSON.stringify([...running.values()]), { mode: 0o600 });
  renameSync(`${processesFile}.new`, processesFile);
}

async function endOrphans(): Promise<void> {
  const text = await readFile(processesFile, "utf8").catch(() => "[]");
  const left = JSON.parse(text) as { identity: ProcessIdentity; end: EndSteps }[];
  await Promise.all(left.map(({ identity, end }) => endProcess(identity, end)));
}
