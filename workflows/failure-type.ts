import { ApplicationFailure } from "@temporalio/workflow";

/** The code of the innermost failure. */
export function failureType(error: unknown): string {
  let code = "internal";
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof ApplicationFailure && each.type) code = each.type;
  }
  return code;
}
