import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { readProject } from "./config/project.ts";
import { type Environment, readSettings, type Settings } from "./config/settings.ts";
import type { ConnectorSpecs } from "./config/connector-config.ts";
import type { Project } from "./domain/project.ts";

export type { ConnectorSpecs } from "./config/connector-config.ts";
export type { Environment, Settings } from "./config/settings.ts";
export { declareField } from "./config/declare-field.ts";
export { TEMPORAL_FILES } from "./config/temporal-security.ts";
export { flowScalar, flowYaml } from "./config/flow-yaml.ts";
export { insertAfter, isBlock } from "./config/yaml-lines.ts";
export { displayPath, loadSqlTree } from "./config/sql-tree.ts";

/** Absolute path of the checkout. */
export const PACKAGE_DIRECTORY = dirname(fileURLToPath(import.meta.url));

/**
 * What the environment decides: see {@link Settings}. Throws UserErrors that name every wrong variable at once.
 *
 * @param options.project the project's folder, before `MIETTE_PROJECT`; its state lies in its own `.miette/` unless
 *   `MIETTE_HOME` says where
 */
export function loadSettings(options: { project?: string | undefined; env?: Environment } = {}): Settings {
  const env = options.env ?? process.env;
  return readSettings(
    options.project === undefined ? env : { ...env, MIETTE_PROJECT: options.project },
    PACKAGE_DIRECTORY,
  );
}

/**
 * Reads and checks `miette.yaml` and the schemas that it names. Throws UserErrors with everything that is wrong, each
 * with file, line and key; no message holds a value of a connector's config.
 *
 * @param directory the project's folder
 * @param options.connectorSpecs JSON Schema of the `config` of each connector, by the connector's name
 * @param options.destinationSpecs the same of destinations
 * @param options.env fills `${NAME}` in texts
 */
export async function loadProject(
  directory: string,
  options: { connectorSpecs: ConnectorSpecs; destinationSpecs?: ConnectorSpecs; env?: Environment },
): Promise<Project> {
  const { connectorSpecs, destinationSpecs, env = process.env } = options;
  return await readProject(directory, env, connectorSpecs, destinationSpecs);
}
