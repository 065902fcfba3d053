import type { ErrorObject } from "ajv";
import { stringify } from "yaml";
import { hint } from "./suggest.ts";

type Schema = { [keyword: string]: unknown; patternErrorMessage?: string; description?: string };

const TYPE_NAMES: Record<string, string> = {
  object: "a mapping",
  array: "a list",
  string: "a text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  null: "empty",
};

const FORMAT_NAMES: Record<string, string> = {
  date: "a day, as in 2027-03-31",
  "date-time": "a point in time, as in 2027-03-31T12:00:00Z",
  uri: "a URL, as in https://example.org",
  email: "an e-mail address, as in data-team@example.com",
  regex: "a regular expression of JavaScript",
};

/**
 * What an ajv error (of `allErrors`, `verbose`) says to a person: what is wrong and how to mend it, without the place.
 * @param shown the value as a message may show it, or null where it must not appear
 */
export function sentence(error: ErrorObject, shown: string | null): string {
  const { params } = error;
  const schema = (error.parentSchema ?? {}) as Schema;
  const known = Object.keys((schema.properties as Schema | undefined) ?? {});
  const value = shown ?? "the value";
  switch (error.keyword) {
    case "required":
    case "dependentRequired": {
      const name = String(params.missingProperty);
      const mend = mendOf(name, (schema.properties as Record<string, Schema> | undefined)?.[name]);
      const why = error.keyword === "required" ? "is missing" : `is missing, which ${params.property} needs`;
      return `the key ${JSON.stringify(name)} ${why}; ${mend}.`;
    }
    case "additionalProperties":
    case "unevaluatedProperties": {
      const name = String(params.additionalProperty ?? params.unevaluatedProperty);
      return `unknown key ${JSON.stringify(name)}${hint(name, known, "known here are")}`;
    }
    case "type": {
      const expected = [params.type as string | string[]].flat().map((type) => TYPE_NAMES[type] ?? type);
      return `must be ${expected.join(" or ")}${example(schema)}, not ${TYPE_NAMES[jsonType(error.data)]}.`;
    }
    case "enum": {
      const allowed = (params.allowedValues as unknown[]).map(String);
      if (shown === null || typeof error.data !== "string") return `must be one of ${allowed.join(", ")}.`;
      return `${shown} is not allowed${hint(error.data, allowed, "write one of")}`;
    }
    case "const":
      return `must be ${JSON.stringify(params.allowedValue)}.`;
    case "pattern":
      return `${value} ${schema.patternErrorMessage ?? `must match the pattern ${String(params.pattern)}`}.`;
    case "format":
      return `${value} must be ${FORMAT_NAMES[String(params.format)] ?? `of the format ${String(params.format)}`}.`;
    case "minLength":
      return params.limit === 1
        ? `must not be empty${example(schema)}.`
        : `must have at least ${params.limit} characters.`;
    case "maxLength":
      return `must have at most ${params.limit} characters.`;
    case "minItems":
      return `must have at least ${counted(params.limit, "entry", "entries")}${example(schema)}.`;
    case "maxItems":
      return `must have at most ${counted(params.limit, "entry", "entries")}${example(schema)}.`;
    case "uniqueItems":
      return "has the same entry twice; remove one.";
    case "minProperties":
      return `must have at least ${counted(params.limit, "key", "keys")}${known.length ? `: ${known.join(", ")}` : ""}.`;
    case "maxProperties":
      return `must have at most ${counted(params.limit, "key", "keys")} of ${known.join(", ")}.`;
    case "minimum":
    case "maximum":
    case "exclusiveMinimum":
    case "exclusiveMaximum":
      return `must be ${COMPARISONS[String(params.comparison)]} ${params.limit}.`;
    case "multipleOf":
      return `must be a multiple of ${params.multipleOf}.`;
    case "oneOf":
    case "anyOf":
      return `has none of the accepted forms${schema.description ? `: ${schema.description}` : ""}${example(schema)}.`;
    default:
      return `${error.message ?? "is not valid"}.`;
  }
}

const COMPARISONS: Record<string, string> = {
  ">=": "at least",
  "<=": "at most",
  ">": "greater than",
  "<": "less than",
};

function mendOf(name: string, property: Schema | undefined): string {
  const written = firstExample(property);
  if (written !== null) return `add it, as in ${name}: ${written}`;
  const description = property?.description?.replace(/\.$/, "");
  return description ? `add it (${description})` : "add it";
}

function example(schema: Schema): string {
  const written = firstExample(schema);
  return written === null ? "" : `, as in ${written}`;
}

function firstExample(schema: Schema | undefined): string | null {
  const [first] = Array.isArray(schema?.examples) ? (schema.examples as unknown[]) : [];
  return first === undefined
    ? null
    : stringify(first, { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 }).trim();
}

function counted(count: unknown, one: string, many: string): string {
  return `${String(count)} ${count === 1 ? one : many}`;
}

function jsonType(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}
