import type { Pool } from "pg";
import type { Logger } from "pino";
import type { Source } from "../connectors/connector.ts";
import type { Project } from "../domain/project.ts";
import type { Vault } from "../warehouse/vault.ts";

/** What activities work with: made once by the worker. */
export interface Dependencies {
  pool: Pool;
  vault: Vault;
  /** The project as its files stand now: a changed miette.yaml counts from the next activity on. */
  loadProject(): Promise<Project>;
  sources: Readonly<Record<string, Source<never>>>;
  log: Logger;
}
