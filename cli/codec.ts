import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Command } from "commander";
import { CodedError, UserError } from "../domain/errors.ts";
import { payloadCodec } from "../warehouse/data-converter.ts";
import { createCodecServer } from "./codec-server.ts";
import { withSession, type GlobalOptions } from "./session.ts";

export function registerCodec(program: Command): void {
  program
    .command("codec")
    .description("let Temporal's web interface show sealed payloads, to one browser, until Ctrl-C")
    .option("--port <n>", "on the loopback address", "8234")
    .option("--origin <url>", "the web interface's origin (default: the embedded server's)")
    .action(async (options: { port: string; origin?: string }, command: Command) => {
      const port = Number(options.port);
      if (!Number.isInteger(port) || port < 1 || port > 65535) {
        throw new UserError("must be a port, a whole number from 1 to 65535", { key: "--port" });
      }
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const asked = options.origin ?? session.stack.uiUrl;
        if (asked === null || !URL.canParse(asked)) {
          throw new UserError("must be the web interface's address, as in http://127.0.0.1:8080", { key: "--origin" });
        }
        const { server, loginPath } = createCodecServer({
          codec: payloadCodec(session.pool, session.vault),
          origin: new URL(asked).origin,
          log: (line) => console.error(`${new Date().toISOString()} ${line}`),
        });
        server.listen(port, "127.0.0.1");
        await once(server, "listening").catch((error: NodeJS.ErrnoException) => {
          throw new CodedError(
            "internal",
            `port ${port} can't be used (${error.code ?? "unknown"}); name another by --port`,
            { retryable: false },
          );
        });
        const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        console.log(
          `Open this once, in the browser that is to see the payloads, and the UI there by the same host: ${address}${loginPath}`,
        );
        console.log(
          `Then, in the web interface's settings of data encoding: endpoint ${address}, with cross-origin credentials. Ctrl-C ends it.`,
        );
        await new Promise<void>((resolve) => {
          for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => resolve());
        });
        server.close();
        server.closeAllConnections();
      });
    });
}
