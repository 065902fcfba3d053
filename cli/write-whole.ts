import { open, rename, rm, stat } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { UserError } from "../domain/errors.ts";

/**
 * Writes a file that is there whole or not at all: under another name, which it loses at the end. For its owner alone,
 * since it may hold what the mart knows of people. What is no file (a pipe, a device) is written as it is.
 * @throws UserError where the file can't be written
 */
export async function writeWhole(path: string, write: (out: NodeJS.WritableStream) => Promise<void>): Promise<void> {
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => true,
  );
  const written = isFile ? `${path}.${process.pid}.part` : path;
  try {
    const file = await open(written, "w", 0o600).catch(refuse);
    const out = file.createWriteStream();
    await write(out);
    out.end();
    await finished(out);
    if (isFile) await rename(written, path).catch(refuse);
  } catch (error) {
    if (isFile) await rm(written, { force: true }).catch(() => undefined);
    throw error;
  }

  function refuse(error: NodeJS.ErrnoException): never {
    const why = `the file can't be written (${error.code ?? "unknown"}); name another with --out`;
    throw new UserError(why, { file: path });
  }
}
