import { mkdir, open, rename, stat } from "node:fs/promises";
import { join } from "node:path";

/** A log past this size is set aside as `….1` when its server starts, so that a home keeps at most two of each. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Opens a log of a server for appending. Readable by its owner only. The caller closes it. */
export async function openLog(
  folder: string,
  name: string,
): Promise<{ path: string; fd: number; close(): Promise<void> }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  const size = await stat(path)
    .then((found) => found.size)
    .catch(() => 0);
  if (size > MAX_BYTES) await rename(path, `${path}.1`);
  const handle = await open(path, "a", 0o600);
  return { path, fd: handle.fd, close: () => handle.close() };
}
