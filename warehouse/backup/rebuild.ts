import type pg from "pg";
import type { Project } from "../../domain/project.ts";
import { refreshBlocked } from "../blocked.ts";
import { inTransaction, type Pools } from "../database.ts";
import { computeContracts, computeModel } from "../models/compute.ts";
import type { Graph } from "../models/graph.ts";
import { planBuild } from "../models/plan.ts";
import { publish } from "../models/publish.ts";
import { sweepCursors } from "../erasure/sweep-state.ts";
import { readEpoch } from "../epoch.ts";
import { readSuppressions } from "../landing/suppressions.ts";
import type { Vault } from "../vault.ts";

/**
 * Resets cursors that stand at an erased person's value, then computes and publishes every model in this process, since
 * nothing else may look at a restored warehouse before.
 * @param pools of whom activities work as, so that what is made is theirs
 */
export async function rebuild(
  { loader, publisher }: Pick<Pools, "loader" | "publisher">,
  vault: Vault,
  graph: Graph,
  project: Project,
  onStep: (step: string) => void,
): Promise<void> {
  await resetCursors(loader, vault);
  await refreshBlocked(loader, vault, project.identity);
  const { buildId, hasContracts, steps } = await planBuild(publisher, graph, { full: true });
  if (buildId === null) return;
  if (hasContracts) {
    onStep("contracts");
    await computeContracts(publisher, graph, buildId);
  }
  for (const { step } of steps) {
    onStep(step);
    await computeModel(publisher, graph, buildId, step);
  }
  onStep("publish");
  await publish(publisher, graph, buildId);
}

async function resetCursors(pool: pg.Pool, vault: Vault): Promise<void> {
  const suppressions = await inTransaction(pool, async (client) =>
    readSuppressions(client, vault, await readEpoch(client)),
  );
  if (suppressions === null) return;
  const { rows } = await pool.query<{ kind: string }>("select distinct kind from vault.identifiers");
  await sweepCursors(pool, vault, (canonical) =>
    rows.some(({ kind }) => suppressions.has(kind, canonical, canonical.includes("@"))),
  );
}
