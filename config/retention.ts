import type { SourceDeclaration } from "../domain/project.ts";
import { STATE_CATEGORIES, type HoldRule, type RetentionRule } from "../domain/retention.ts";
import { isMoment } from "../domain/streams.ts";
import type { Findings } from "./findings.ts";
import { hint } from "./suggest.ts";
import type { Path } from "./yaml-file.ts";

export interface RetentionBlock {
  category: string;
  keep: string;
  from?: string;
  then?: "delete" | "strip";
}

export interface HoldBlock {
  category: string;
  purpose: string;
  keep: string;
  from?: string;
  law: string;
}

/** The rules of how long records are kept. That a word without a dot is a contract is looked at with the models. */
export function readRetention(
  blocks: RetentionBlock[],
  sources: SourceDeclaration[],
  findings: Findings,
): RetentionRule[] {
  const seen = new Set<string>();
  return blocks.map(({ category, keep, from, then }, index) => {
    const path = ["retention", index];
    if (seen.has(category)) {
      findings.report([...path, "category"], `${JSON.stringify(category)} has two rules; keep the one that counts.`);
    }
    seen.add(category);
    const isState = (STATE_CATEGORIES as readonly string[]).includes(category);
    if (isState && (from !== undefined || then !== undefined)) {
      findings.report(path, `${category} age by themselves and are deleted; leave from and then out.`);
    }
    if (!isState) checkCategory(category, from, sources, path, findings);
    return { category, keep, from: from ?? null, action: then ?? null, place: findings.file.place(path) };
  });
}

/** The rules of what a law asks to be kept. */
export function readHolds(blocks: HoldBlock[], sources: SourceDeclaration[], findings: Findings): HoldRule[] {
  return blocks.map(({ category, purpose, keep, from, law }, index) => {
    const path = ["holds", index];
    checkCategory(category, from, sources, path, findings);
    return { category, purpose, keep, from: from ?? null, law, place: findings.file.place(path) };
  });
}

/** @param from the field that is named; absent: records age from their landing */
function checkCategory(
  category: string,
  from: string | undefined,
  sources: SourceDeclaration[],
  path: Path,
  findings: Findings,
): void {
  // What is wrong with the sources has been told.
  if (!category.includes(".") || !findings.isSound(["sources"])) return;
  const streams = sources.flatMap((source) => source.streams);
  const stream = streams.find((each) => `${each.source}.${each.name}` === category);
  if (!stream) {
    const names = streams.map((each) => `${each.source}.${each.name}`);
    findings.report([...path, "category"], `is no stream of this project${hint(category, names, "there are")}`);
  } else if (from !== undefined && !isMoment(stream, from)) {
    const moments = Object.keys(stream.schema.properties).filter((name) => isMoment(stream, name));
    findings.report(
      [...path, "from"],
      `is no open field of format date or date-time in ${category}${hint(from, moments, "there are")}`,
    );
  }
}
