import { readFileSync } from "node:fs";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import ajvFormats from "ajv-formats";
import { UserError } from "../domain/errors.ts";
import { sentence } from "./sentences.ts";
import type { Path, YamlFile } from "./yaml-file.ts";

/** Compiles a JSON Schema 2020-12. Throws where the schema itself is wrong: an error of the program, not of a person. */
export function compileSchema(schema: object): ValidateFunction {
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    strict: true,
    allowUnionTypes: true,
    strictRequired: false,
  });
  ajvFormats.default(ajv);
  // The message that editors show for a `pattern`; ours say the same.
  ajv.addKeyword("patternErrorMessage");
  return ajv.compile(schema);
}

/** Compiles a schema of the package's `schema/` folder. */
export function packagedSchema(name: "miette" | "stream"): ValidateFunction {
  return compileSchema(
    JSON.parse(readFileSync(new URL(`../schema/${name}.schema.json`, import.meta.url), "utf8")) as object,
  );
}

export interface Flaw {
  path: Path;
  error: UserError;
}

/**
 * What is wrong with `data` by its schema.
 * @param data the file's data, `${NAME}` filled in
 * @param base where `data` stands in the file
 * @param locate where a path below `data` stands in the file, if not at `base`
 */
export function findFlaws(
  validate: ValidateFunction,
  data: unknown,
  file: YamlFile,
  locate: (path: Path) => Path = (path) => path,
): Flaw[] {
  if (validate(data)) return [];
  const errors = validate.errors ?? [];
  const summaries = errors.filter(({ keyword }) => keyword === "anyOf" || keyword === "oneOf");
  return errors
    .filter((error) => isTold(error, summaries))
    .map((error) => {
      const path = locate(pathOf(error, data));
      return { path, error: new UserError(sentence(error, shownValue(error, path, file)), file.place(path)) };
    });
}

/** A branch of anyOf is told by its summary, a wrong key's name by its pattern, a condition by what it asks. */
function isTold(error: ErrorObject, summaries: ErrorObject[]): boolean {
  if (error.keyword === "if" || error.keyword === "propertyNames") return false;
  return !summaries.some((summary) => error !== summary && error.schemaPath.startsWith(`${summary.schemaPath}/`));
}

function pathOf(error: ErrorObject, data: unknown): Path {
  const path: (string | number)[] = [];
  let value = data;
  for (const token of error.instancePath.split("/").slice(1)) {
    const step = token.replaceAll("~1", "/").replaceAll("~0", "~");
    path.push(Array.isArray(value) ? Number(step) : step);
    value = (value as Record<string, unknown> | undefined)?.[step];
  }
  const { additionalProperty, unevaluatedProperty } = error.params as Record<string, string | undefined>;
  const key = error.propertyName ?? additionalProperty ?? unevaluatedProperty;
  return key === undefined ? path : [...path, key];
}

/** A value as the file has it, before `${NAME}` is filled in; nothing of a connector's config or a webhook, where secrets stand. */
function shownValue(error: ErrorObject, path: Path, file: YamlFile): string | null {
  if (error.propertyName !== undefined) return JSON.stringify(error.propertyName);
  if (path.some((step) => step === "config" || step === "notify")) return null;
  let value = file.data;
  for (const step of path) value = (value as Record<string | number, unknown> | null | undefined)?.[step];
  return typeof value === "string" && value.length <= 60 ? JSON.stringify(value) : null;
}
