import type { Pool } from "pg";
import type { Logger } from "pino";
import type { Source } from "../connectors/connector.ts";
import type { Destination } from "../connectors/destination.ts";
import type { Project } from "../domain/project.ts";
import type { KeyEncryption } from "../privacy/keys.ts";
import type { FieldSchema } from "../domain/streams.ts";
import type { Pools } from "../warehouse/database.ts";
import type { ModelFile } from "../warehouse/models/syntax.ts";
import type { Vault } from "../warehouse/vault.ts";

/** What activities work with: made once by the worker. */
export interface Dependencies {
  /** Connections in the role that the activity needs. */
  pool: Pool;
  vault: Vault;
  keys: KeyEncryption;
  /** The project as its files stand now: a changed miette.yaml counts from the next activity on. */
  loadProject(): Promise<Project>;
  /** Adds a field to a stream's schema, whose path is given. */
  declareField(file: string, field: string, schema: FieldSchema): Promise<boolean>;
  /** The project's SQL laid over the package's, as the files stand now. */
  loadSql(): Promise<ModelFile[]>;
  sources: Readonly<Record<string, Source<never>>>;
  destinations: Readonly<Record<string, Destination<never>>>;
  log: Logger;
  /** Where the servers and this worker write their logs; null: elsewhere than in the home. */
  logFolder: string | null;
}

/** The same before it is decided which role an activity takes. */
export type SharedDependencies = Omit<Dependencies, "pool"> & { pools: Pools };
