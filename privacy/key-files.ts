import { randomBytes } from "node:crypto";
import { chmod, link, lstat, mkdir, open, readFile, realpath, stat, unlink, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { UserError } from "../domain/errors.ts";
import type { KeyKeeper } from "./keys.ts";

const FORM = /^miette key generation ([1-9]\d{0,8})\n([0-9a-f]{64})\n$/;

/**
 * A file per generation, `generation-N.key`, for its owner's eyes alone. The folder must lie in none of `forbidden`:
 * a copy of the data or a backup that holds the key as well protects nothing.
 */
export function keyFiles(folder: string, forbidden: { directory: string; name: string }[]): KeyKeeper {
  const pathOf = (generation: number): string => join(folder, `generation-${generation}.key`);
  return {
    place: `files in ${folder}`,
    async read(generation) {
      const path = pathOf(generation);
      await refuseForbidden(folder, path, forbidden);
      await refuseOpenFolder(folder);
      const status = await lstat(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") {
          throw new UserError(
            `the key file is missing, and what generation ${generation} has wrapped can't be opened without it; restore it from where keys are kept, or set MIETTE_KEY_FOLDER`,
            { file: path },
          );
        }
        throw new UserError(`the key file can't be read (${error.code ?? "unknown"})`, { file: path });
      });
      if (!status.isFile())
        throw new UserError("this is no file; a key lies in a file of its own, not in a link", { file: path });
      if ((status.mode & 0o077) !== 0)
        throw new UserError("others may read the key file; run chmod 0400 on it", { file: path });
      const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        throw new UserError(`the key file can't be read (${error.code ?? "unknown"})`, { file: path });
      });
      const match = FORM.exec(text);
      if (!match) {
        throw new UserError(
          "this is no key file, or it is cut short; it holds a line with its generation and a line of 64 hex digits",
          { file: path },
        );
      }
      if (Number(match[1]) !== generation) {
        throw new UserError(`the key file is of generation ${match[1]}, and generation ${generation} is asked for`, {
          file: path,
        });
      }
      return Buffer.from(match[2] as string, "hex");
    },

    /** Two processes that try at once end with one file, which is never written over. */
    async create(generation) {
      const path = pathOf(generation);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await refuseForbidden(folder, path, forbidden);
      const draft = `${path}.${randomBytes(6).toString("hex")}`;
      const file = await open(draft, "wx", 0o400);
      await file.writeFile(`miette key generation ${generation}\n${randomBytes(32).toString("hex")}\n`);
      // Keys are wrapped by it from the next moment on: a power cut must not take it.
      await file.sync();
      await file.close();
      await link(draft, path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      });
      await unlink(draft);
    },

    /** Written over before it goes, for file systems that write in place. */
    async destroy(generation) {
      const path = pathOf(generation);
      const status = await lstat(path).catch(() => null);
      if (!status) return;
      await chmod(path, 0o600);
      await writeFile(path, randomBytes(status.size), { flag: "r+", flush: true });
      await unlink(path);
    },
  };
}

/** Whoever may write to the folder may put another key in a key's place, unless it is sticky as secrets' mounts are. */
async function refuseOpenFolder(folder: string): Promise<void> {
  const mode = await stat(folder).then(
    (status) => status.mode,
    () => 0o700,
  );
  if ((mode & 0o022) === 0 || (mode & 0o1000) !== 0) return;
  throw new UserError("others may write to the folder of the keys; run chmod 0700 on it", { file: folder });
}

async function refuseForbidden(
  folder: string,
  path: string,
  forbidden: { directory: string; name: string }[],
): Promise<void> {
  // Through links, since data may lie elsewhere than they seem to.
  const real = await realpath(folder).catch(() => folder);
  for (const { directory, name } of forbidden) {
    for (const parent of [directory, await realpath(directory).catch(() => directory)]) {
      const inside = relative(parent, real);
      if (inside === "" || !(inside === ".." || inside.startsWith("../"))) {
        throw new UserError(
          `the key file lies in the ${name}; move it out and set MIETTE_KEY_FOLDER, since a copy of that folder would hold the key`,
          { file: path },
        );
      }
    }
  }
}
