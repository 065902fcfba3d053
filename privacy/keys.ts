import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { UserError } from "../domain/errors.ts";
import { open, seal } from "./sealing.ts";

/** Wraps the keys that seal data, so that destroying one generation makes all that it wrapped unreadable. */
export interface KeyEncryption {
  /** The generation that `wrap` uses. */
  readonly generation: number;
  wrap(key: Buffer, purpose: string): Buffer;
  unwrap(wrapped: Buffer, generation: number, purpose: string): Buffer;
}

const HEADER = /^miette key generation (\d+)\n([0-9a-f]{64})\n$/;

/**
 * Opens a key file, which must be of the asked generation, readable by its owner alone and outside of the data directory.
 * @throws UserError with the path and the mend, without a byte of the key
 */
export async function openKeyFile(path: string, generation: number, dataDirectory: string): Promise<KeyEncryption> {
  const inside = relative(resolve(dataDirectory), resolve(path));
  if (!inside.startsWith("..") && inside !== "") {
    throw new UserError(
      "the key file lies in the data directory; move it out, since a copy of the data would hold the key",
      { file: path },
    );
  }
  const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      throw new UserError("the key file is missing; restore it from where keys are kept, or set MIETTE_KEY_FILE", {
        file: path,
      });
    }
    throw new UserError(`the key file can't be read (${error.code ?? "unknown"})`, { file: path });
  });
  if ((status.mode & 0o077) !== 0) {
    throw new UserError(`others may read the key file; run chmod 0400 on it`, { file: path });
  }
  const match = HEADER.exec(await readFile(path, "utf8"));
  if (!match) {
    throw new UserError(
      "this is no key file, or it is cut short; it holds a line with its generation and a line of 64 hex digits",
      { file: path },
    );
  }
  if (Number(match[1]) !== generation) {
    throw new UserError(`the key file is of generation ${match[1]}, and generation ${generation} is asked for`, {
      file: path,
    });
  }
  return new FileKey(generation, Buffer.from(match[2] as string, "hex"));
}

/** Makes a key file of generation 1 where there is none; two processes that try at once end with one file. */
export async function createKeyFile(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  await writeFile(draft, `miette key generation 1\n${randomBytes(32).toString("hex")}\n`, { mode: 0o400, flag: "wx" });
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  await unlink(draft);
}

class FileKey implements KeyEncryption {
  readonly generation: number;
  readonly #key: Buffer;
  constructor(generation: number, key: Buffer) {
    this.generation = generation;
    this.#key = key;
  }
  wrap(key: Buffer, purpose: string): Buffer {
    return seal(this.#key, purpose, key);
  }
  unwrap(wrapped: Buffer, generation: number, purpose: string): Buffer {
    if (generation !== this.generation) {
      throw new UserError(
        `a key of generation ${generation} is asked for, and the key file is of generation ${this.generation}`,
      );
    }
    return open(this.#key, purpose, wrapped);
  }
}
