import { UserError } from "../domain/errors.ts";
import { readVariable } from "./secret-files.ts";
import type { Environment } from "./settings.ts";
import type { Flaw } from "./validate.ts";
import type { Path, YamlFile } from "./yaml-file.ts";

/** `$${` (a literal `${`), `${NAME}`, or a `${` that is neither. */
const REFERENCE = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{/g;

/**
 * The file's data with every `${NAME}` of a text replaced by the environment variable; `$${` gives `${`.
 * A variable that is not set, and a `${` that names none, is a flaw at the key it stands under.
 */
export function fillEnvironment(file: YamlFile, env: Environment): { data: unknown; flaws: Flaw[] } {
  const flaws: Flaw[] = [];
  const fill = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => fill(item, [...path, index]));
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, [...path, key])]));
    }
    if (typeof value !== "string") return value;
    return value.replace(REFERENCE, (match, name: string | undefined) => {
      if (match === "$${") return "${";
      let unreadable: string | undefined;
      try {
        const found = name === undefined ? undefined : readVariable(env, name);
        if (found !== undefined) return found;
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        unreadable = `the environment variable ${error.message}`;
      }
      const message = name
        ? (unreadable ?? `the environment variable ${name} is not set; set it before the command.`)
        : "${ must be followed by a variable's name and }, as in ${SHOP_PASSWORD}; $${ stands for ${ itself.";
      flaws.push({ path, error: new UserError(message, file.place(path)) });
      return "";
    });
  };
  return { data: fill(file.data, []), flaws };
}
