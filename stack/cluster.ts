import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readlinkSync } from "node:fs";
import {
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { CodedError, UserError } from "../domain/errors.ts";
import { type Account, canReach, makeReachableFolder } from "./account.ts";
import { serverEnvironment } from "./environment.ts";
import type { PostgresOptions } from "./postgres.ts";
import type { PostgresPrograms } from "./postgres-programs.ts";
import { commandOf, type EndSteps, endProcess, identifyProcess, type ProcessIdentity } from "./process.ts";

const run = promisify(execFile);

const VERSION = "18";

/**
 * Makes the cluster's data unless they are there, and returns the superuser's password. Data are made aside and
 * renamed, so a folder that exists is complete; one that is not (something else made it, or it was cut short) is set
 * aside and said.
 */
export async function prepareCluster(
  options: PostgresOptions,
  data: string,
  programs: PostgresPrograms,
  account: Account | null,
  say: (line: string) => void,
): Promise<string> {
  const passwordFile = `${options.directory}.password`;
  const known = await readFile(passwordFile, "utf8")
    .then((text) => text.trim())
    .catch(() => "");
  const password = known || randomBytes(24).toString("hex");
  if (!known) await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });

  const version = await readFile(join(data, "PG_VERSION"), "utf8")
    .then((text) => text.trim())
    .catch(() => null);
  const isComplete = version !== null && (await stat(join(data, "global", "pg_control")).catch(() => null)) !== null;
  if (isComplete) {
    if (version !== VERSION) {
      const mend = `move it away, or set DATABASE_URL to a Postgres that serves it.`;
      throw new UserError(`${options.directory} holds data of Postgres ${version}, not ${VERSION}; ${mend}`);
    }
    if (!known) await alone(programs, account, data, `alter role postgres password '${password}'`);
    return password;
  }
  await setAside(data, say);
  await initialise(options, programs, account, data, password);
  return password;
}

/**
 * Ends what an earlier server of these data left behind: the server itself, when it outlived whoever started it, since
 * nobody would restart it; else its children, which finish their statement before they notice that it is dead and
 * keep a new server from starting until then.
 */
export async function endOrphans(data: string, steps: EndSteps): Promise<void> {
  const file = join(data, "postmaster.pid");
  const text = await readFile(file, "utf8").catch(() => null);
  if (text === null) return;
  const pid = Number.parseInt(text, 10);
  const identity = pid > 0 ? identifyProcess(pid) : null;
  if (identity && isServerOf(data, pid)) return await endProcess(identity, steps);
  await Promise.all(childrenOf(data).map((child) => endProcess(child, [["SIGQUIT", 2_000]])));
  // Postgres refuses a pid file that is garbled or whose number belongs to another program by now.
  if (!(pid > 0) || identity) await rm(file, { force: true });
}

function isServerOf(data: string, pid: number): boolean {
  return `${commandOf(pid)} `.includes(` -D ${data} `);
}

/** Postgres's children run in the data folder. Elsewhere than on Linux they can't be found, and are waited for. */
function childrenOf(data: string): ProcessIdentity[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!(pid > 0) || workingFolderOf(pid) !== data || !commandOf(pid).startsWith("postgres: ")) return [];
    return identifyProcess(pid) ?? [];
  });
}

function workingFolderOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}

/** The folder itself, or where the account can reach it when it can't enter the home; then the folder is a link. */
export async function placeData(directory: string, account: Account | null): Promise<string> {
  const entry = await lstat(directory).catch(() => null);
  if (entry?.isSymbolicLink()) {
    const target = await readlink(directory);
    if (await stat(dirname(target)).catch(() => null)) return target;
    await rm(directory);
  }
  if (!account || canReach(account, dirname(directory))) return directory;
  const target = join(await makeReachableFolder(dirname(directory)), basename(directory));
  // Data from before the home was moved out of reach move on; mv keeps owners, also to another file system.
  if (entry?.isDirectory()) execFileSync("mv", [directory, target]);
  await symlink(target, directory);
  return target;
}

async function setAside(data: string, say: (line: string) => void): Promise<void> {
  const found = await readdir(data).catch(() => null);
  if (!found) return;
  if (found.length === 0) return await rm(data, { recursive: true });
  const aside = `${data}.broken-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
  await rename(data, aside);
  say(`Postgres's data were incomplete and are made anew; what was there is now ${aside}.`);
}

async function initialise(
  options: PostgresOptions,
  programs: PostgresPrograms,
  account: Account | null,
  data: string,
  password: string,
): Promise<void> {
  const making = `${data}.making`;
  const passwordFile = `${data}.making.password`;
  await rm(making, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await mkdir(making, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o400 });
  try {
    if (account) {
      await chown(making, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    // The builtin provider needs no locale of the system, sorts by code point and knows all of Unicode's letters.
    const args = ["--username=postgres", `--pwfile=${passwordFile}`, "--auth=scram-sha-256", "--encoding=UTF8"];
    const locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
    const speed = options.isThrowaway ? ["--no-sync"] : [];
    const command = [`--pgdata=${making}`, ...args, ...locale, ...speed];
    await run(programs.initdb, command, { cwd: "/", env: serverEnvironment(), ...account });
  } catch (error) {
    const detail = error instanceof Error && "stderr" in error ? String(error.stderr).trim().split("\n").pop() : "";
    const message = `Postgres (${options.name}) could not make its data in ${data}: ${detail}`;
    throw new CodedError("warehouse_unavailable", message, { retryable: false });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(making, data);
}

/** Runs one statement in a server of its own that listens nowhere. The cluster must be down. */
async function alone(
  { postgres }: PostgresPrograms,
  account: Account | null,
  data: string,
  statement: string,
): Promise<void> {
  const args = ["--single", "-D", data, "-c", "exit_on_error=on", "-c", "log_min_messages=fatal", "postgres"];
  const running = run(postgres, args, { cwd: "/", env: serverEnvironment(), ...account });
  running.child.stdin?.end(`${statement}\n`);
  await running;
}
