import { Context } from "@temporalio/activity";
import type { RetentionReport } from "../domain/retention.ts";
import { releaseDue } from "../warehouse/holds/release.ts";
import { expireRecords } from "../warehouse/retention/expire.ts";
import { completeRetention, vacuumRun } from "../warehouse/retention/complete.ts";
import { dropUnusedIdentifiers } from "../warehouse/retention/identifiers.ts";
import { readRetention, type Retention } from "../warehouse/retention/rules.ts";
import { beginRetention, readRun } from "../warehouse/retention/run.ts";
import { expireState } from "../warehouse/retention/state.ts";
import { graphOf } from "./build.ts";
import type { Dependencies } from "./dependencies.ts";

/** The steps of retention, each of which may be interrupted and done again. */
export function retentionActivities(dependencies: Dependencies) {
  const { pool, vault } = dependencies;
  return {
    /** Also finishes erasures of which something was held until now. */
    async beginRetention(): Promise<{ runId: string }> {
      await releaseDue(pool, vault);
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
    releaseHolds: async (): Promise<{ records: number }> => ({ records: await releaseDue(pool, vault) }),
    completeRetention: (input: { runId: string; actor: string }): Promise<RetentionReport> =>
      completeRetention(pool, vault, input),
  };
}

/** The rules by table, as project and models stand now. */
export async function retentionOf(dependencies: Dependencies): Promise<Retention> {
  return readRetention(await graphOf(dependencies), await dependencies.loadProject());
}
