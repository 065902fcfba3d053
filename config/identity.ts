import type { IdentityRules } from "../domain/project.ts";
import type { Findings } from "./findings.ts";
import type { FieldKinds } from "./sources.ts";
import { hint } from "./suggest.ts";
import type { Path } from "./yaml-file.ts";

export interface IdentifierBlock {
  kind: string;
  limit?: number;
  blocked?: string[];
  shared_above?: number;
  window?: { limit: number; days: number };
}

/**
 * The identity rules of a project; where none are declared, every kind of the schemas links, without limits.
 * @param fieldKinds the kinds that schemas declare by `identifier` or as match keys, in their order; null where a
 *   schema could not be read, so that nothing can be said of unknown kinds
 */
export function identityRules(
  blocks: readonly IdentifierBlock[] | undefined,
  fieldKinds: FieldKinds | null,
  findings: Findings,
): IdentityRules {
  const declared: readonly IdentifierBlock[] = blocks ?? (fieldKinds?.all ?? []).map((kind) => ({ kind }));
  const seen = new Set<string>();
  for (const [index, rule] of declared.entries()) {
    const { kind } = rule;
    const path = ["identity", "identifiers", index];
    if (seen.has(kind)) {
      findings.report([...path, "kind"], `${JSON.stringify(kind)} is listed twice; keep the stronger place.`);
    } else if (fieldKinds !== null && !fieldKinds.all.includes(kind)) {
      findings.report(
        [...path, "kind"],
        `no schema has an identifier or match key ${JSON.stringify(kind)}${hint(kind, fieldKinds.all, "the schemas have")}`,
      );
    }
    seen.add(kind);
    checkLimits(rule, path, findings);
    if (rule.blocked?.length && fieldKinds?.matchKeys.includes(kind)) {
      findings.report(
        [...path, "blocked"],
        `${JSON.stringify(kind)} is a match key, and a match key has no value to compare; block a field's identifier, or give the key shared_above.`,
      );
    }
  }
  return {
    identifiers: declared.map(({ kind, limit = null, window = null, blocked = [], shared_above = null }) => ({
      kind,
      limit,
      window,
      blocked,
      sharedAbove: shared_above,
    })),
  };
}

/** A window above the limit would never count: the limit refuses first. */
function checkLimits({ limit, window }: IdentifierBlock, path: Path, findings: Findings): void {
  if (limit === undefined || window === undefined || window.limit <= limit) return;
  findings.report(
    [...path, "window", "limit"],
    `must be at most the limit of ${limit} that stands beside it; lower it, or leave the window out.`,
  );
}
