import { createHash } from "node:crypto";
import { lstat, mkdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../domain/errors.ts";

/** macOS allows 103 bytes in the path of a socket, Linux 107. */
const MAX_SOCKET_PATH = 100;

/** In the run folder: the processes that a supervisor started, for the one after it. */
export const PROCESSES = "processes.json";

/** Makes the folder of a home that holds what lives no longer than its servers: the lock, the socket, their list. */
export async function runFolder(home: string): Promise<string> {
  const folder = join(home, "run");
  try {
    // The home itself stays open, else Postgres's account could never enter it and its data would have to lie apart.
    await mkdir(home, { recursive: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown";
    throw new UserError(`the folder ${home} cannot be written (${code}); set MIETTE_HOME to one that can.`);
  }
  return folder;
}

/**
 * Path of the socket on which a home's supervisor listens. A home whose path is too long has it in a folder of
 * the user's own beside other temporary files.
 */
export async function socketPath(home: string): Promise<string> {
  const path = join(home, "run", "supervisor.sock");
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path;
  const uid = process.getuid?.() ?? 0;
  const folder = join(tmpdir(), `miette-${uid}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new UserError(`${folder} is not this user's alone; remove it, or set MIETTE_HOME to a shorter path.`);
  }
  return join(folder, `${createHash("sha256").update(home).digest("hex").slice(0, 16)}.sock`);
}

/** A connection to the supervisor, or null when none listens. What breaks it later is told by its event `close`. */
export async function connectTo(path: string): Promise<Socket | null> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.on("error", () => resolve(null));
  });
}

/** Resolves when a connection has ended, also by an error: `once` of node:events would throw that instead. */
export function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.once("close", () => resolve()));
}

export async function canConnect(path: string): Promise<boolean> {
  const socket = await connectTo(path);
  socket?.destroy();
  return socket !== null;
}
