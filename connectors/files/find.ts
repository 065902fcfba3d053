import { access, constants, stat } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { glob, isDynamicPattern } from "tinyglobby";
import type { SourceOptions } from "../connector.ts";
import { Rejected, Unavailable } from "../errors.ts";

export interface FoundFile {
  /** Absolute. */
  path: string;
  /** Relative to the project's folder, with `/`: what cursors, parts and errors call it, wherever the project lies. */
  name: string;
  seal: Seal;
}

/** By which a file is known to be unchanged: [size in bytes, time of its last change in ms]. */
export type Seal = [size: number, mtimeMs: number];

/**
 * The regular files that a `path` names: one file, or all that match a pattern (`*`, `**`, `?`, `[…]`, `{…}`). A file
 * whose very name is that of the pattern comes first. Files that begin with a dot match only a pattern that says so.
 * @returns sorted by name, so that every run reads in the same order
 * @throws Rejected where a plain path is no readable file. A pattern may match nothing: the caller knows whether it ever did
 */
export async function findFiles(path: string, { directory, signal }: SourceOptions): Promise<FoundFile[]> {
  const exact = resolve(directory, path);
  const stats = await statOrNull(exact, path);
  if (stats?.isFile()) return [found(directory, exact, stats)];
  if (!isDynamicPattern(path)) {
    if (!stats)
      throw new Rejected(`${path}: there is no such file in ${directory}; correct "path" or put the file there`);
    const what = stats.isDirectory() ? "a folder" : "no regular file";
    throw new Rejected(
      `${path} is ${what}; set "path" to a file, or to a pattern such as ${path.replace(/\/+$/, "")}/*`,
    );
  }
  const { base, pattern } = splitPattern(directory, path);
  // The search itself passes over folders that it may not read.
  await access(base, constants.R_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EACCES") throw fileError(base, error);
  });
  const names = await glob(pattern, { cwd: base, onlyFiles: true, expandDirectories: false, signal });
  signal.throwIfAborted();
  const files: FoundFile[] = [];
  for (const name of names) {
    const matched = resolve(base, name);
    const matchedStats = await statOrNull(matched, name);
    if (matchedStats?.isFile()) files.push(found(directory, matched, matchedStats));
  }
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What the file system refuses, by its code: whether a person has to mend it, and how. */
export function fileError(name: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case "EACCES":
    case "EPERM":
      return new Rejected(`${name} may not be read (${code}); give the user that runs the worker the right to read it`);
    case "ENOENT":
      return new Unavailable(`${name} went away before it was read; it is looked for again`);
    default:
      return new Unavailable(`${name} could not be read (${code ?? "unknown error"})`, { cause: error });
  }
}

function found(directory: string, path: string, stats: { size: number; mtimeMs: number }): FoundFile {
  const name = relative(directory, path).split(sep).join("/");
  return { path, name, seal: [stats.size, stats.mtimeMs] };
}

/** The folders before the first wildcard, taken literally: the project's folder may have brackets in its own name. */
function splitPattern(directory: string, path: string): { base: string; pattern: string } {
  const inside = path.startsWith(directory + sep) ? path.slice(directory.length + 1) : path;
  const segments = inside.split("/");
  const first = segments.findIndex((segment) => isDynamicPattern(segment));
  const literal = segments.slice(0, first).join("/");
  const base = isAbsolute(inside) ? resolve(`${literal}/`) : resolve(directory, literal);
  return { base, pattern: segments.slice(first).join("/") };
}

async function statOrNull(path: string, name: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw fileError(name, error);
  }
}
