import { randomInt } from "node:crypto";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../domain/errors.ts";

/** Every embedded server listens here and nowhere else. */
export const LOOPBACK = "127.0.0.1";

/** A closed connection keeps its port for 60 s on Linux, and half of that elsewhere; in milliseconds. */
const CLOSING = 65_000;

/**
 * Throws a UserError that names the port and the variable that changes it, when another program serves there. The system
 * lends ports (on Linux those from 32768 on) to outgoing connections: a port that one of them has is waited for.
 */
export async function requireFreePort(port: number, variable: string, server: string): Promise<void> {
  const deadline = Date.now() + CLOSING;
  let code = await tryPort(port);
  while (code === "EADDRINUSE" && Date.now() < deadline && !(await isServed(port))) {
    await sleep(100);
    code = await tryPort(port);
  }
  if (code === null) return;
  const reason = code === "EADDRINUSE" ? "is taken by another program" : `cannot be opened (${code})`;
  throw new UserError(`port ${port} for ${server} ${reason}; set ${variable} to a free one.`);
}

/** What {@link freePort} has given out, which may not be open yet. */
const given = new Set<number>();

/** Ports between those that services have by custom and those that a system lends. */
const OURS = { first: 10_240, last: 32_767 };

/**
 * A port that was free a moment ago, at random. None that the system lends: Temporal's server asks it for some of its own
 * before it opens the one it is told, and has ended where it got that one.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(OURS.first, OURS.last + 1);
    if (given.has(port)) continue;
    given.add(port);
    if ((await tryPort(port)) === null) return port;
  }
  throw new Error(`no port from ${OURS.first} to ${OURS.last} can be opened`);
}

async function isServed(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, LOOPBACK);
    const tell = (isIt: boolean): void => {
      socket.destroy();
      resolve(isIt);
    };
    socket.once("connect", () => tell(true));
    socket.once("error", (error: NodeJS.ErrnoException) => tell(error.code !== "ECONNREFUSED"));
    // A server that is too busy to answer is one, too.
    socket.setTimeout(1_000, () => tell(true));
  });
}

/** Null when the port can be listened on, else the system's error code. */
async function tryPort(port: number): Promise<string | null> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
    server.listen(port, LOOPBACK, () => server.close(() => resolve(null)));
  });
}
