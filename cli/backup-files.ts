import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "../domain/errors.ts";

type Part = "data" | "vault";

/** `shop-20260131T120000.123456Z.data.miette`: names of one project sort by the moment of their snapshot. */
export function backupName(project: string, part: Part, takenAt: string): string {
  return `${project}-${takenAt.replaceAll(/[-:]/g, "")}.${part}.miette`;
}

/** The file itself, or the newest of a folder's. @throws UserError where there is none */
export async function findBackup(path: string, part: Part, project: string): Promise<string> {
  const absolute = resolve(path);
  const found = await stat(absolute).catch(() => null);
  if (!found) throw new UserError("there is no such file or folder", { file: path });
  if (!found.isDirectory()) return absolute;
  const newest = await newestIn(absolute, part, project);
  if (!newest) throw new UserError(`holds no ${part} part of a backup of ${project}`, { file: path });
  return newest;
}

/** @throws UserError where a newer vault lies beside the one that is named: an older one knows keys that were destroyed since */
export async function requireNewestVault(path: string, project: string): Promise<void> {
  const newest = await newestIn(dirname(path), "vault", project);
  if (newest === null || basename(newest) <= basename(path) || !basename(path).startsWith(`${project}-`)) return;
  throw new UserError(
    `a newer vault lies beside it, ${basename(newest)}; a restore takes the newest, since an older one would bring back people who have been erased`,
    { file: path },
  );
}

async function newestIn(folder: string, part: Part, project: string): Promise<string | null> {
  const pattern = /-\d{8}T\d{6}\.\d{6}Z\.(data|vault)\.miette$/;
  const names = (await readdir(folder)).filter(
    (name) => pattern.exec(name)?.[1] === part && name.replace(pattern, "") === project,
  );
  const newest = names.toSorted().at(-1);
  return newest === undefined ? null : join(folder, newest);
}
