import { resolve } from "node:path";
import { type UserError, UserErrors } from "../domain/errors.ts";
import { checkSchema, type SchemaFile } from "./stream-schema.ts";
import { readYamlFile } from "./yaml-file.ts";

/** Reads each schema file once, since several streams may share one. */
export class SchemaReader {
  readonly #root: string;
  readonly #files = new Map<string, SchemaFile>();
  readonly #errors: UserErrors[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** Null where the file is no YAML, which `errors` tells. Throws Node's error where it can't be read. */
  async read(path: string): Promise<SchemaFile | null> {
    const absolute = resolve(this.#root, path);
    const known = this.#files.get(absolute);
    if (known) return known;
    try {
      const file = checkSchema(await readYamlFile(absolute));
      this.#files.set(absolute, file);
      return file;
    } catch (error) {
      if (!(error instanceof UserErrors)) throw error;
      this.#errors.push(error);
      return null;
    }
  }

  /** What is wrong with the files by themselves. */
  errors(): UserError[] {
    return [
      ...this.#errors.flatMap((error) => error.errors),
      ...[...this.#files.values()].flatMap((file) => file.errors),
    ];
  }
}
