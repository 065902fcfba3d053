import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { UserError } from "../domain/errors.ts";

/** The account under which Postgres runs. It refuses to run as root. */
export interface Account {
  uid: number;
  gid: number;
}

/** Where the data and programs of an unprivileged account lie that cannot reach the home or the checkout. */
export const REACHABLE_ROOT = "/var/lib/miette";

const OWN_ACCOUNT = "miette-pg";

/**
 * The account to run a Postgres with these data as; null: as ourselves, which is right for everybody but root.
 * Data that exist are served by their owner. Otherwise it is Postgres's usual account, one of our own that is made
 * when there is none, or `nobody` where accounts can't be made.
 */
export async function postgresAccount(dataDirectory: string): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  const owner = await stat(dataDirectory).catch(() => null);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const found = accountNamed("postgres") ?? accountNamed("_postgres") ?? accountNamed(OWN_ACCOUNT);
  if (found) return found;
  spawnSync("useradd", ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OWN_ACCOUNT]);
  const made = accountNamed(OWN_ACCOUNT) ?? accountNamed("nobody");
  if (made) return made;
  throw new UserError(`Postgres cannot run as root; add an account for it with "useradd --system ${OWN_ACCOUNT}".`);
}

/** Whether the account can enter the folder and, where a program is given, run it. Tried, since modes tell half. */
export function canReach(account: Account, directory: string, program?: string): boolean {
  const script = 'cd "$0" && if [ -n "$1" ]; then "$1" --version; fi';
  const { status } = spawnSync("/bin/sh", ["-c", script, directory, program ?? ""], {
    cwd: "/",
    uid: account.uid,
    gid: account.gid,
    stdio: "ignore",
  });
  return status === 0;
}

/**
 * A new folder that every account can enter, for one home. Its name is never used again: data of a home that was
 * moved stay linked from it.
 */
export async function makeReachableFolder(home: string): Promise<string> {
  try {
    await mkdir(REACHABLE_ROOT, { recursive: true, mode: 0o755 });
    const folder = await mkdtemp(join(REACHABLE_ROOT, `${basename(home).replace(/^\.+/, "")}-`));
    await chmod(folder, 0o711);
    return folder;
  } catch {
    throw new UserError(
      `Postgres cannot run as root, and its account can enter neither ${home} nor a folder in ${REACHABLE_ROOT}; ` +
        "set MIETTE_HOME to a folder that every account may enter.",
    );
  }
}

function accountNamed(name: string): Account | null {
  try {
    const id = (flag: string) => Number(execFileSync("id", [flag, name], { encoding: "utf8", stdio: "pipe" }));
    return { uid: id("-u"), gid: id("-g") };
  } catch {
    return null;
  }
}
