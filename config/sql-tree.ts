import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { UserError, UserErrors } from "../domain/errors.ts";

/** A file of the SQL tree, as a project sees it after its own files were laid over the package's. */
export interface SqlFile {
  /** Path below `sql/`, always with `/`: `models/mart/fct_orders.sql`. It names the relation. */
  path: string;
  /** Absolute path of the file that counts. */
  file: string;
  /** The path as an error shows it: relative to the current folder where it lies below it. */
  displayFile: string;
  /** UTF-8 without a byte order mark. */
  text: string;
}

const FOLDERS: Record<string, string> = { models: ".sql", checks: ".sql", segments: ".sql", contracts: ".yaml" };

/**
 * The SQL of a project: the package's `sql/` overlaid by the project's. The same path replaces, a new path adds.
 * Sorted by path. Throws a UserError where a file is not UTF-8.
 *
 * @param packageSqlDirectory absolute path of the package's `sql/`
 * @param projectDirectory absolute path of the project; its `sql/` need not exist
 */
export async function loadSqlTree(packageSqlDirectory: string, projectDirectory: string): Promise<SqlFile[]> {
  const files = new Map<string, string>();
  for (const root of [packageSqlDirectory, join(projectDirectory, "sql")]) {
    for (const [path, file] of await listFiles(root)) files.set(path, file);
  }
  const errors: UserError[] = [];
  const tree: SqlFile[] = [];
  for (const [path, file] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const displayFile = displayPath(file);
    try {
      tree.push({ path, file, displayFile, text: decodeUtf8(await readFile(file)) });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      errors.push(new UserError("the file is not UTF-8; save it as UTF-8.", { file: displayFile }));
    }
  }
  if (errors.length) throw new UserErrors(errors);
  return tree;
}

/** A path as an error shows it: relative to the current folder where it lies below it, else absolute. */
export function displayPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith("..") || path === "" ? file : path;
}

/** Text without a byte order mark. Throws a TypeError where the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

async function listFiles(root: string): Promise<[path: string, file: string][]> {
  const found: [string, string][] = [];
  for (const [folder, extension] of Object.entries(FOLDERS)) {
    const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return [];
        throw error;
      },
    );
    for (const entry of entries) {
      if (entry.isDirectory() || entry.name.startsWith(".") || !entry.name.endsWith(extension)) continue;
      const file = join(entry.parentPath, entry.name);
      found.push([relative(root, file).split(sep).join("/"), file]);
    }
  }
  return found;
}
