import { Context } from "@temporalio/activity";
import type { RetentionReport } from "../domain/retention.ts";
import { expireRecords } from "../warehouse/retention/expire.ts";
import type { Retention } from "../warehouse/retention/collect.ts";
import { completeRetention, vacuumRun } from "../warehouse/retention/complete.ts";
import { dropUnusedIdentifiers } from "../warehouse/retention/identifiers.ts";
import { resolveRules } from "../warehouse/retention/rules.ts";
import { beginRetention, readRun } from "../warehouse/retention/run.ts";
import { expireState } from "../warehouse/retention/state.ts";
import { graphOf } from "./build.ts";
import type { Dependencies } from "./dependencies.ts";
import { keptFacts } from "../warehouse/erasure/kept-facts.ts";

/** The steps of retention, each of which may be interrupted and done again. */
export function retentionActivities(dependencies: Dependencies) {
  const { pool, vault } = dependencies;
  return {
    async beginRetention(): Promise<{ runId: string }> {
      const { retention } = await dependencies.loadProject();
      return { runId: await beginRetention(pool, await retentionOf(dependencies), retention) };
    },
    /** @returns whether anything was past its age */
    async expireRecords({ runId }: { runId: string }): Promise<boolean> {
      const tell = (rows: number): void => Context.current().heartbeat(rows);
      await expireRecords(pool, runId, await retentionOf(dependencies), tell);
      await expireState(pool, runId, (await dependencies.loadProject()).retention);
      return Object.keys((await readRun(pool, runId)).changed).length > 0;
    },
    dropUnusedIdentifiers: ({ runId }: { runId: string }): Promise<void> => dropUnusedIdentifiers(pool, vault, runId),
    vacuumRetention: ({ runId }: { runId: string }): Promise<void> => vacuumRun(pool, runId),
    completeRetention: (input: { runId: string; actor: string }): Promise<RetentionReport> =>
      completeRetention(pool, vault, input),
  };
}

/** The rules by table, as project and models stand now. */
export async function retentionOf(dependencies: Dependencies): Promise<Retention> {
  const [graph, project] = [await graphOf(dependencies), await dependencies.loadProject()];
  const facts = keptFacts(graph, project);
  return { facts, rules: resolveRules(graph, project, facts) };
}
