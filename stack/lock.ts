import { randomBytes } from "node:crypto";
import { link, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { identifyProcess, isRunning, type ProcessIdentity } from "./process.ts";

/** Written into a lock that was given back: no process has this number. */
const NOBODY: ProcessIdentity = { pid: 0, started: "" };

/**
 * Takes a folder's lock for this process, or returns null while a living process has it. A dead holder's lock is
 * taken over.
 *
 * The lock is the file with the highest number. It is taken by making the next number, which a hard link does
 * atomically and with its content; only the new holder removes lower ones. A number is never given back by removing
 * it, else one who read the folder earlier could take a number that was held since. (Removing a dead holder's single
 * file lets two processes that both saw it dead remove each other's.)
 */
export async function claimLock(folder: string): Promise<(() => Promise<void>) | null> {
  const self = identifyProcess(process.pid);
  const held = await numbersIn(folder);
  const highest = held.at(-1) ?? 0;
  if (!self || (highest > 0 && isRunning(await holderOf(folder, highest)))) return null;

  const mine = join(folder, nameOf(highest + 1));
  if (!(await makeExclusively(folder, mine, self))) return null;
  const now = await numbersIn(folder);
  if (now.at(-1) !== highest + 1) {
    await rm(mine, { force: true });
    return null;
  }
  for (const number of now.slice(0, -1)) await rm(join(folder, nameOf(number)), { force: true });
  return async () => {
    const temporary = await writeTemporary(folder, NOBODY);
    await rename(temporary, mine);
  };
}

async function makeExclusively(folder: string, path: string, holder: ProcessIdentity): Promise<boolean> {
  const temporary = await writeTemporary(folder, holder);
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeTemporary(folder: string, holder: ProcessIdentity): Promise<string> {
  const path = join(folder, `.lock-${randomBytes(8).toString("hex")}`);
  await writeFile(path, JSON.stringify(holder), { mode: 0o600 });
  return path;
}

/** A lock removed by its taker in between is nobody's. */
async function holderOf(folder: string, number: number): Promise<ProcessIdentity> {
  const text = await readFile(join(folder, nameOf(number)), "utf8").catch(() => JSON.stringify(NOBODY));
  return JSON.parse(text) as ProcessIdentity;
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => Number(/^lock\.(\d+)$/.exec(name)?.[1] ?? 0) || []).sort((a, b) => a - b);
}

function nameOf(number: number): string {
  return `lock.${number}`;
}
