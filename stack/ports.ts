import { createServer } from "node:net";
import { UserError } from "../domain/errors.ts";

/** Every embedded server listens here and nowhere else. */
export const LOOPBACK = "127.0.0.1";

/** Throws a UserError that names the port and the variable that changes it, when another program has it. */
export async function requireFreePort(port: number, variable: string, server: string): Promise<void> {
  const code = await tryPort(port);
  if (code === null) return;
  const reason = code === "EADDRINUSE" ? "is taken by another program" : `cannot be opened (${code})`;
  throw new UserError(`port ${port} for ${server} ${reason}; set ${variable} to a free one.`);
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, LOOPBACK, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
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
