import { SURVIVING_ATTRIBUTES, type SurvivorshipRule } from "../domain/survivorship.ts";
import type { Findings } from "./findings.ts";
import { hint } from "./suggest.ts";

export type SurvivorshipBlock = {
  [attribute in SurvivorshipRule["attribute"]]?: { by: SurvivorshipRule["by"]; sources?: string[] };
};

/** One rule per attribute that can have several values; where none is declared, the latest registration wins. */
export function survivorshipRules(
  block: SurvivorshipBlock | undefined,
  sources: readonly string[],
  findings: Findings,
): SurvivorshipRule[] {
  return SURVIVING_ATTRIBUTES.map((attribute) => {
    const rule: SurvivorshipRule = { attribute, by: "most_recent", sources: [], ...block?.[attribute] };
    const path = ["identity", "survivorship", attribute];
    if (rule.by === "priority" && !rule.sources.length) {
      findings.report(path, "priority needs sources; list them, the one to believe first at the front.");
    } else if (rule.by !== "priority" && rule.sources.length) {
      findings.report(
        [...path, "sources"],
        `${rule.by} takes no sources; leave them out, or write by: priority to prefer one to another.`,
      );
    }
    for (const [index, source] of rule.sources.entries()) {
      if (sources.includes(source)) continue;
      findings.report(
        [...path, "sources", index],
        `there is no source ${JSON.stringify(source)}${hint(source, sources, "the project has")}`,
      );
    }
    return rule;
  });
}
