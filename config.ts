import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Environment, readSettings, type Settings } from "./config/settings.ts";

export type { Environment, Settings } from "./config/settings.ts";
export { loadSqlTree, type SqlFile } from "./config/sql-tree.ts";

/** Absolute path of the checkout. */
export const PACKAGE_DIRECTORY = dirname(fileURLToPath(import.meta.url));

/** What the environment decides: see {@link Settings}. Throws UserErrors that name every wrong variable at once. */
export function loadSettings(env: Environment = process.env): Settings {
  return readSettings(env, PACKAGE_DIRECTORY);
}
