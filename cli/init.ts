import { cp, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { editorComment } from "./schema-comment.ts";

const TEMPLATE = fileURLToPath(new URL("./project-template", import.meta.url));

/**
 * Makes a project that runs as it is: a source of CSV files with its data, schemas and staging models.
 * @returns the paths that were written, from the project's folder
 * @throws UserError where the folder is not empty, or is no folder
 */
export async function initProject(directory: string): Promise<string[]> {
  const root = resolve(directory);
  await requireEmpty(root, directory);
  await mkdir(root, { recursive: true });
  const entries = await readdir(TEMPLATE, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(TEMPLATE, join(entry.parentPath, entry.name)));
  for (const path of paths) {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true });
    if (extname(path) !== ".yaml") {
      await cp(join(TEMPLATE, path), file);
      continue;
    }
    const comment = editorComment(file, path === "miette.yaml" ? "miette" : "stream");
    await writeFile(file, comment + (await readFile(join(TEMPLATE, path), "utf8")));
  }
  return paths.map((path) => path.split(sep).join("/")).sort();
}

export function registerInit(program: Command): void {
  program
    .command("init")
    .argument("<directory>", "a folder that is empty or not there yet")
    .action(async (directory: string, _options: object, command: Command) => {
      const paths = await initProject(directory);
      if (command.optsWithGlobals<{ json?: boolean }>().json) return console.log(JSON.stringify({ written: paths }));
      for (const path of paths) console.log(`wrote ${join(directory, path)}`);
      console.log(`run it: npx miette run --project ${directory}`);
    });
}

async function requireEmpty(root: string, directory: string): Promise<void> {
  const status = await stat(root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (status && (!status.isDirectory() || (await readdir(root)).length > 0)) {
    throw new UserError("is no empty folder; name one that is empty or not there yet.", { file: directory });
  }
}
