import type { ClientBase, Pool } from "pg";
import type { Build } from "./build.ts";
import { buildName, type Shape } from "./catalog.ts";
import type { Check } from "./check.ts";
import type { Graph } from "./graph.ts";
import { redirect } from "./rewrite.ts";
import { countBreaches, type CheckResult } from "./run-checks.ts";
import { onTwoSessions } from "./two-sessions.ts";

/**
 * In a transaction that publishes, before its first change: runs the checks that read nothing but what the build has
 * computed, on the build's own tables. Once those are being put in place, only this session sees them, and what two can do
 * in one second would take it two.
 * @param built the build's tables
 */
export async function checkAhead(
  pool: Pool,
  client: ClientBase,
  graph: Graph,
  build: Build,
  built: ReadonlyMap<string, Shape>,
): Promise<Map<Check, CheckResult>> {
  const isBuilt = (relation: string): boolean =>
    build.relations.has(relation) && built.get(buildName(relation))?.kind === "table";
  const queue = graph.checks.filter(({ readings }) => readings.every(({ relation }) => isBuilt(relation)));
  const results = new Map<Check, CheckResult>();
  await onTwoSessions(pool, client, queue, async (session) => {
    for (let check = queue.shift(); check; check = queue.shift()) {
      const sql = redirect(check.statement, check.readings, (relation) => buildName(relation).split(".")[0]!);
      const [result] = await countBreaches(session, [check], new Map([[check, { sql, values: [] }]]));
      results.set(check, result!);
    }
  });
  return results;
}
