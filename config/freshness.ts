import type { FreshnessRule } from "../domain/project.ts";
import type { Findings } from "./findings.ts";
import { isObject, type Path } from "./yaml-file.ts";

export interface FreshnessBlock {
  warn_after?: string;
  error_after?: string;
}

interface Block {
  freshness?: FreshnessBlock;
  streams?: Record<string, { freshness?: FreshnessBlock }>;
}

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** The rules of all streams that have one: a stream's own keys laid over its source's. */
export function readFreshness(sources: Record<string, Block>, findings: Findings): FreshnessRule[] {
  const rules: FreshnessRule[] = [];
  for (const [source, block] of Object.entries(sources)) {
    if (!isObject(block)) continue;
    const common = soundBlock(block.freshness, ["sources", source], findings);
    if (common) ruleOf(source, "", common, ["sources", source, "freshness"], findings);
    for (const [stream, streamBlock] of Object.entries(isObject(block.streams) ? block.streams : {})) {
      const path = ["sources", source, "streams", stream];
      const own = isObject(streamBlock)
        ? soundBlock(streamBlock.freshness as FreshnessBlock, path, findings)
        : undefined;
      if (own) rules.push(ruleOf(source, stream, { ...common, ...own }, [...path, "freshness"], findings));
      else if (common) rules.push(ruleOf(source, stream, common, null, findings));
    }
  }
  return rules;
}

function soundBlock(block: FreshnessBlock | undefined, path: Path, findings: Findings): FreshnessBlock | undefined {
  return isObject(block) && findings.isSound([...path, "freshness"]) ? block : undefined;
}

/** @param at where to tell of a wrong order of the limits; null: it has been told */
function ruleOf(
  source: string,
  stream: string,
  block: FreshnessBlock,
  at: Path | null,
  findings: Findings,
): FreshnessRule {
  const [warnAfter, errorAfter] = [secondsOf(block.warn_after), secondsOf(block.error_after)];
  if (at && warnAfter !== null && errorAfter !== null && warnAfter >= errorAfter) {
    findings.report(at, `warn_after must be shorter than error_after, as in warn_after: 6h, error_after: 24h.`);
  }
  return { source, stream, warnAfter, errorAfter };
}

function secondsOf(duration: string | undefined): number | null {
  return duration === undefined ? null : Number(duration.slice(0, -1)) * SECONDS[duration.slice(-1)]!;
}
