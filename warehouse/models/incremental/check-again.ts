import type { Check } from "../check.ts";
import { readLastChecks } from "../publish-state.ts";
import { countBreaches, withVersions, type CheckResult } from "../run-checks.ts";
import { findTouched, selectTouched } from "./follow-select.ts";
import { Parameters } from "./condition.ts";
import { changesOf, type Run } from "./run.ts";

/**
 * Runs the checks that what has changed can break: one that reads nothing of it keeps its result; one that follows what it
 * reads, and that nothing broke before, looks at the rows that have changed; any other is run whole.
 * @param versions of every relation, this build's included
 */
export async function runChecksAgain(run: Run, versions: ReadonlyMap<string, number>): Promise<CheckResult[]> {
  const last = await readLastChecks(run.client);
  const kept = new Map<string, CheckResult>();
  const parts = new Map<Check, { sql: string; values: readonly unknown[] }>();
  const work: Check[] = [];
  // A build of a part, in a new warehouse, has not made what every check reads.
  const ready = run.graph.checks.filter((check) => check.readings.every(({ relation }) => run.published.has(relation)));
  for (const check of ready) {
    const inputs = [...new Set(check.readings.map(({ relation }) => relation))];
    const before = last.get(check.name);
    const isKnown =
      before?.hash === check.hash &&
      !check.settings.size &&
      inputs.every((relation) => before.versions[relation] === (run.states.get(relation)?.version ?? 0));
    if (isKnown && !inputs.some((relation) => changesOf(run, relation))) kept.set(check.name, before);
    else {
      work.push(check);
      // What broke it before is counted again, changed or not.
      const groups =
        isKnown && before.rows === 0 && check.follows.length ? await findTouched(run, check, [], Infinity, null) : null;
      if (!groups) continue;
      const parameters = new Parameters();
      const selects = selectTouched(run, check, groups, typeIn(run, check), parameters);
      const sql = selects.map((select) => `select 1 as one from ${select}`).join("\nunion all\n");
      parts.set(check, { sql: sql || "select 1 as one where false", values: parameters.values });
    }
  }
  const done = new Map((await countBreaches(run.client, work, parts)).map((result) => [result.name, result]));
  return ready.map(({ name }) => withVersions(kept.get(name) ?? done.get(name)!, run.graph, versions));
}

/** A check's own columns have the types of those that they follow. */
function typeIn(run: Run, check: Check): (column: string) => string {
  return (name) => {
    for (const { relation, columns, from } of check.follows) {
      const place = columns.indexOf(name);
      const column = run.published.get(relation)?.columns.find((other) => other.name === from?.[place]);
      if (place !== -1 && column) return column.type;
    }
    return "text";
  };
}
