import { copyFile, mkdir, open, readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";

/** A log past this size is set aside as `….1`, so that a home keeps at most two of each. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Opens a log of a server for appending. Readable by its owner only. The caller closes it. */
export async function openLog(
  folder: string,
  name: string,
): Promise<{ path: string; fd: number; close(): Promise<void> }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  await setAside(path);
  const handle = await open(path, "a", 0o600);
  return { path, fd: handle.fd, close: () => handle.close() };
}

/** Sets aside the logs of a folder that have grown too large while their servers write on. */
export async function boundLogs(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith(".log")) await setAside(join(folder, name));
}

/** By copy and truncation: the writer holds the file, open for appending, and so goes on at its new end. */
async function setAside(path: string): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size <= MAX_BYTES) return;
  await copyFile(path, `${path}.1`);
  await truncate(path);
}
