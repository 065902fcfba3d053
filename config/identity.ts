import type { IdentityRules } from "../domain/project.ts";
import type { Findings } from "./findings.ts";
import { hint } from "./suggest.ts";

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
  block: { identifiers: IdentifierBlock[] } | undefined,
  fieldKinds: string[] | null,
  findings: Findings,
): IdentityRules {
  const declared: IdentifierBlock[] = block?.identifiers ?? (fieldKinds ?? []).map((kind) => ({ kind }));
  const seen = new Set<string>();
  for (const [index, { kind }] of declared.entries()) {
    const path = ["identity", "identifiers", index, "kind"];
    if (seen.has(kind)) findings.report(path, `${JSON.stringify(kind)} is listed twice; keep the stronger place.`);
    else if (fieldKinds !== null && !fieldKinds.includes(kind)) {
      findings.report(
        path,
        `no schema has an identifier or match key ${JSON.stringify(kind)}${hint(kind, fieldKinds, "the schemas have")}`,
      );
    }
    seen.add(kind);
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
