import { readFileSync, statSync } from "node:fs";
import { UserError } from "../domain/errors.ts";
import type { Environment } from "./settings.ts";

/** Passwords, URLs and certificates are shorter; what is longer is another file. */
const LONGEST = 64 << 10;

/**
 * A variable of the environment: its value, else what the file holds that `<NAME>_FILE` names, as container engines hand
 * secrets over, without the line end at its end. Undefined where neither is set.
 * @throws UserError where both are set, or the file can't be read
 */
export function readVariable(env: Environment, name: string): string | undefined {
  const value = env[name];
  const path = env[`${name}_FILE`];
  if (!path) return value;
  if (value) throw new UserError(`is set, and ${name} too; set one of them.`, { key: `${name}_FILE` });
  try {
    if (statSync(path).size > LONGEST)
      throw new UserError("names a file that is too long for a secret.", { key: `${name}_FILE` });
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    throw new UserError(`names a file that can't be read (${code}).`, { key: `${name}_FILE` });
  }
}
