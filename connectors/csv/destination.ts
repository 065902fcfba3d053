import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { csvLine } from "../../domain/csv-line.ts";
import type { Destination, DestinationOptions, Member, Outcome, Parcel } from "../destination.ts";
import { Rejected, Unavailable } from "../errors.ts";

interface CsvDirectory {
  directory: string;
}

const NAME = /^[0-9TZ]+-(?:deliver|remove|erase)-.*\.csv$/;
/** Of these the disk or its owner can be mended, and then it goes on. */
const PASSING = new Set(["ENOSPC", "EDQUOT", "EBUSY", "EMFILE", "ENFILE", "EIO", "ETIMEDOUT"]);

/**
 * A file for each batch in a directory, in the order of their names: who enters an audience, who leaves it. Each is there
 * whole or not at all, for its owner alone, and no cell of it begins a formula. An erasure takes the person's lines out of
 * every file that is still there, and leaves a file that says whom to erase, for whoever has taken copies.
 */
export const csvDirectory: Destination<CsvDirectory> = {
  spec: {
    type: "object",
    required: ["directory"],
    additionalProperties: false,
    properties: {
      directory: {
        description:
          "The folder that the files are written to, from the project's folder. It is made where it is missing.",
        type: "string",
        minLength: 1,
        examples: ["outbox/crm"],
      },
    },
  },
  deliver: (config, parcel, options) => writeParcel(config, "deliver", parcel, options),
  remove: (config, parcel, options) => writeParcel(config, "remove", parcel, options),
  async erase(config, { key, at, members }, options) {
    const folder = await openFolder(config, options);
    const ids = new Set(members.map(({ id }) => id));
    for (const name of (await readdir(folder)).toSorted()) {
      if (!NAME.test(name) || name.includes("-erase-")) continue;
      const lines = await linesOf(join(folder, name));
      const kept = lines.filter((line) => !ids.has(line.slice(0, line.search(/[,\r]/))));
      if (kept.length < lines.length) await writeFile(join(folder, name), kept.join(""));
    }
    await writeFile(
      join(folder, fileName(at, "erase", key)),
      csv(
        ["id"],
        members.map(({ id }) => [id]),
      ),
    );
    return "accepted";
  },
};

async function writeParcel(
  config: CsvDirectory,
  operation: "deliver" | "remove",
  { key, at, audience, members }: Parcel,
  options: DestinationOptions,
): Promise<Outcome> {
  const folder = await openFolder(config, options);
  const names = [...new Set(members.flatMap(({ fields }) => Object.keys(fields)))].toSorted();
  const rows = members.map(({ id, fields }: Member) => [id, ...names.map((name) => (fields[name] ?? []).join(";"))]);
  await writeFile(join(folder, fileName(at, operation, `${audience}-${key}`)), csv(["id", ...names], rows));
  return "confirmed";
}

/** The moment first, so that the files sort as they are to be applied. */
function fileName(at: string, operation: string, rest: string): string {
  return `${at.replaceAll(/[-:.]/g, "")}-${operation}-${rest.replaceAll(/[^A-Za-z0-9_-]/g, "_")}.csv`;
}

/** A record is one line, which begins with the id as it is: a hexadecimal word. */
function csv(header: string[], rows: string[][]): string {
  return [header, ...rows].map((cells) => csvLine(cells.map((cell) => cell.replaceAll(/[\r\n]+/g, " ")))).join("");
}

async function openFolder({ directory }: CsvDirectory, options: DestinationOptions): Promise<string> {
  const folder = resolve(options.directory, directory);
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => refuse(directory, error));
  return folder;
}

/** The lines of a file that was written here: no cell holds a line break. */
async function linesOf(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => refuse(path, error));
  return text.match(/[^\n]*\n/g) ?? [];
}

/** There whole or not at all, and on the disk before its name is. */
async function writeFile(path: string, text: string): Promise<void> {
  const part = `${path}.${process.pid}.part`;
  try {
    const file = await open(part, "w", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true }).catch(() => undefined);
    refuse(path, error);
  }
}

function refuse(path: string, error: unknown): never {
  const { code = "unknown" } = error as NodeJS.ErrnoException;
  const message = `${path} can't be written or read (${code})`;
  throw PASSING.has(code) ? new Unavailable(message, { cause: error }) : new Rejected(message, { cause: error });
}
