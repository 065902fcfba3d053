import type { Project } from "../../domain/project.ts";
import { refreshBlocked } from "../blocked.ts";
import type { Pools } from "../database.ts";
import { computeContracts, computeModel } from "../models/compute.ts";
import type { Graph } from "../models/graph.ts";
import { planBuild } from "../models/plan.ts";
import { publish } from "../models/publish.ts";
import type { Vault } from "../vault.ts";

/**
 * Computes and publishes every model in this process, since nothing else may look at a restored warehouse before.
 * @param pools of whom activities work as, so that what is made is theirs
 */
export async function rebuild(
  { loader, publisher }: Pick<Pools, "loader" | "publisher">,
  vault: Vault,
  graph: Graph,
  project: Project,
  onStep: (step: string) => void,
): Promise<void> {
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
