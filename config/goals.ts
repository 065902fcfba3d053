import type { Goal } from "../domain/project.ts";
import type { Findings } from "./findings.ts";

export interface GoalBlock {
  name: string;
  measure: string;
  purpose?: string;
  target: number;
  by: string;
  direction?: Goal["direction"];
  start?: { date: string; value: number };
}

/** The goals of a project. Their selects are checked with the models. */
export function readGoals(blocks: GoalBlock[], findings: Findings): Goal[] {
  const seen = new Set<string>();
  for (const [index, { name, by, start }] of blocks.entries()) {
    if (seen.has(name)) {
      findings.report(["goals", index, "name"], `${JSON.stringify(name)} is listed twice; rename one of them.`);
    }
    seen.add(name);
    if (start && start.date >= by) {
      findings.report(["goals", index, "start", "date"], `must be a day before ${by}, by which to reach the target.`);
    }
  }
  return blocks.map(({ name, measure, purpose, target, by, direction = "at_least", start = null }, index) => ({
    name,
    measure,
    ...(purpose !== undefined && { purpose }),
    target,
    direction,
    by,
    start,
    place: findings.file.place(["goals", index, "measure"]),
  }));
}
