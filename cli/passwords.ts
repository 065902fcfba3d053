import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RolePasswords } from "../warehouse/bootstrap.ts";

/** The passwords of the embedded warehouse's roles: drawn at the first start, kept in the home for its owner alone. */
export async function readPasswords(home: string): Promise<RolePasswords> {
  const path = join(home, "passwords.json");
  const text = await readFile(path, "utf8").catch(() => null);
  const known = text === null ? {} : (JSON.parse(text) as Partial<RolePasswords>);
  const draw = (): string => randomBytes(24).toString("hex");
  const passwords: RolePasswords = { owner: draw(), worker: draw(), analyst: draw(), ...known };
  if (known.owner && known.worker && known.analyst) return passwords;
  await mkdir(home, { recursive: true });
  await writeWhole(path, JSON.stringify(passwords));
  return passwords;
}

/** The analyst's password where `psql` finds it by PGPASSFILE. @returns the file's path */
export async function writePasswordFile(home: string, analyst: URL): Promise<string> {
  const path = join(home, "pgpass");
  const lines = ["localhost", "127.0.0.1"].map(
    (host) => `${host}:${analyst.port}:${analyst.pathname.slice(1)}:${analyst.username}:${analyst.password}\n`,
  );
  await writeWhole(path, lines.join(""));
  return path;
}

async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomBytes(4).toString("hex")}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, path);
}
