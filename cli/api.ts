import type { Command } from "commander";
import { createApi } from "../console/api.ts";
import { CodedError, UserError } from "../domain/errors.ts";
import { withSession, type GlobalOptions } from "./session.ts";

export function registerApi(program: Command): void {
  program
    .command("api")
    .option("--port <n>", "where it listens", "8235")
    .option("--host <address>", "another address than loopback: only behind something that ends TLS", "127.0.0.1")
    .action(async (options: { port: string; host: string }, command: Command) => {
      const port = Number(options.port);
      if (!Number.isInteger(port) || port < 1 || port > 65535) {
        throw new UserError("must be a port, a whole number from 1 to 65535", { key: "--port" });
      }
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const { apiToken, apiCallbacks } = session.settings;
        if (apiToken === null) {
          throw new UserError(
            "is needed: what callers prove themselves with, 32 characters or more, as openssl rand -hex 32 makes them",
            { key: "MIETTE_API_TOKEN" },
          );
        }
        const { pool, vault, client, project } = session;
        const log = (line: string): void => console.error(`${new Date().toISOString()} ${line}`);
        const api = await createApi({
          pool,
          vault,
          client,
          project,
          token: apiToken,
          callbackOrigins: apiCallbacks,
          log,
        });
        try {
          const address = await api.listen({ port, host: options.host }).catch((error: NodeJS.ErrnoException) => {
            const why = `port ${port} of ${options.host} can't be used (${error.code ?? "unknown"}); name another by --port`;
            throw new CodedError("internal", why, { retryable: false });
          });
          console.error(`Requests are taken at ${address}; Ctrl-C ends it.`);
          const signalled = new Promise<void>((resolve) => {
            for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => resolve());
          });
          await Promise.race([signalled, session.stack.ended]);
        } finally {
          await api.close();
        }
      });
    });
}
