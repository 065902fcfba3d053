import { UserError } from "../../domain/errors.ts";
import type { StreamPlan } from "../landing/plan.ts";
import { brokenConstraint } from "../landing/record.ts";

/**
 * A right value as its column would hold it.
 * @param text as it was given; null: there is none
 * @throws UserError without the value where it can't be one of its field
 */
export function readRightValue(plan: StreamPlan, field: string, text: string | null): string | null {
  const place = { key: `${plan.stream.source}.${plan.stream.name}.${field}` };
  const index = plan.fieldIndex.get(field);
  const declared = index === undefined ? undefined : plan.fields[index];
  if (!declared) throw new UserError("is no field of a stream here", place);
  if (text === null) {
    if (declared.isRequired) throw new UserError("can't be empty: the schema requires it", place);
    return null;
  }
  const value = readText([declared.schema.type].flat(), text);
  const parsed = declared.type.parse(value);
  if (parsed === null || typeof parsed !== "string" || brokenConstraint(declared, parsed, value) !== null) {
    throw new UserError("the right value can't be one of this field, by its schema", place);
  }
  return parsed;
}

/** A command and HTTP give text; a number or a truth value of a schema is read from it, and what is neither stays text. */
function readText(types: readonly unknown[], text: string): unknown {
  const isNumber = types.includes("integer") || types.includes("number");
  if (isNumber && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (types.includes("boolean") && (text === "true" || text === "false")) return text === "true";
  return text;
}
