import { join } from "node:path";
import type { Settings } from "../config/settings.ts";
import { openLink } from "./link.ts";
import type { PostgresOptions } from "./postgres.ts";
import type { ProcessOptions } from "./program.ts";
import type { TemporalOptions } from "./temporal.ts";

export { askStatus as stackStatus, stopSupervisor as stopStack } from "./link.ts";
export type { ServiceStatus, StackStatus } from "./messages.ts";

/** What of the settings concerns the servers. */
export type StackSettings = Pick<
  Settings,
  "home" | "postgresPort" | "temporalPort" | "uiPort" | "databaseUrl" | "temporalAddress"
> & {
  /** Data that nobody will miss: Postgres does not wait for the disk, Temporal keeps its state in memory. */
  isThrowaway?: boolean;
};

/** A command's use of the servers of a home. */
export interface Stack {
  /** URL of the embedded warehouse's superuser, with the database `postgres`; null when DATABASE_URL replaces it. */
  superuserUrl: string | null;
  /** `host:port`. */
  temporalAddress: string;
  /** The web interface of the embedded Temporal; null when TEMPORAL_ADDRESS replaces it. */
  uiUrl: string | null;
  /**
   * Starts a further Postgres of this home, apart from the warehouse's, and returns its superuser's URL with the
   * database `postgres`. Its data lie in the folder of that name in the home.
   */
  startCluster(cluster: { name: string; folder: string; port: number; portVariable: string }): Promise<string>;
  /**
   * Runs a program beside the servers (the worker), started again when it dies, in a process group of its own. Commands
   * that give the same name share one. Resolves when it has said that it is ready, with the names of the watched variables
   * of which it has other values, since it was started for another command.
   */
  startProgram(name: string, program: Omit<ProcessOptions, "logs">): Promise<string[]>;
  /** What runs now stays when this command has gone, until {@link stopStack}. */
  detach(): Promise<void>;
  /** Leaves; resolves when everything that nobody else uses has ended in order. */
  stop(): Promise<void>;
  /** Resolves when another command has stopped the servers. */
  ended: Promise<void>;
}

/**
 * Has the servers of a home running, starting what is down, and keeps them while this process lives or until
 * {@link Stack.stop}. Commands share them; the last to leave stops them. What dies in between is started again. The
 * ports of servers that run already are those with which they were started.
 *
 * Throws UserErrors: a taken port, no Temporal to be found, no account for Postgres.
 *
 * @param say called with one sentence per event: a download, a restart
 */
export async function attachStack(settings: StackSettings, say: (line: string) => void): Promise<Stack> {
  const { home, isThrowaway = false } = settings;
  const logs = join(home, "logs");
  const link = await openLink(home, say);

  const cluster = async (name: string, folder: string, rest: Pick<PostgresOptions, "port" | "portVariable">) => {
    const options = { name, directory: join(home, folder), logs, isThrowaway, ...rest };
    const { url } = await link.need({ kind: "postgres", name: `Postgres (${name})`, options });
    return `${url}/postgres`;
  };
  const temporal = async () => {
    const options: TemporalOptions = {
      port: settings.temporalPort,
      uiPort: settings.uiPort,
      database: isThrowaway ? null : join(home, "temporal", "temporal.db"),
      logs,
    };
    const { url, uiUrl } = await link.need({ kind: "temporal", name: "Temporal", options });
    return { url: url!, uiUrl };
  };

  try {
    const [superuserUrl, { url, uiUrl }] = await Promise.all([
      settings.databaseUrl === null
        ? cluster("the warehouse", "postgres", { port: settings.postgresPort, portVariable: "MIETTE_PG_PORT" })
        : null,
      settings.temporalAddress === null ? temporal() : { url: settings.temporalAddress, uiUrl: null },
    ]);
    return {
      superuserUrl,
      temporalAddress: url,
      uiUrl,
      startCluster: ({ name, folder, ...rest }) => cluster(name, folder, rest),
      async startProgram(name, program) {
        return (await link.need({ kind: "program", name, options: { ...program, logs } })).outdated;
      },
      detach: () => link.detach(),
      stop: () => link.leave(),
      ended: link.ended,
    };
  } catch (error) {
    await link.leave();
    throw error;
  }
}
