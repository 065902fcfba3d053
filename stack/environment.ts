import { homedir } from "node:os";
import { join } from "node:path";

/** What is handed on to programs that we start; nothing here is a setting of ours. */
const env = process.env;

/** Folders in which programs are looked for. */
export const SEARCH_PATH = env.PATH ?? "";

/** Downloads are kept here for every home of the user. */
export const CACHE_FOLDER = join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "miette");

/**
 * The environment of a server: a person's variables for other servers (`PGPORT`, `TEMPORAL_ADDRESS`, a locale) must
 * not reach ours.
 */
export function serverEnvironment(): Record<string, string> {
  return { PATH: SEARCH_PATH, HOME: homedir(), LC_ALL: "C" };
}

/** Our own environment without what concerns this one Node process alone: debugger, loaders, message channel. */
export function ownEnvironment(): Record<string, string> {
  const isOurs = ([name, value]: [string, string | undefined]) =>
    value !== undefined && !/^(NODE_OPTIONS|NODE_CHANNEL_|VITEST)/.test(name);
  return Object.fromEntries(Object.entries(env).filter(isOurs)) as Record<string, string>;
}
