import type { Project } from "../../domain/project.ts";
import { loadContracts } from "../contracts.ts";
import { historyNode } from "../history-node.ts";
import { identityNode } from "../identity-node.ts";
import { loadGraph, type Graph } from "./graph.ts";
import type { ModelFile } from "./syntax.ts";

/** The graph of a project: its SQL tree, the contracts, and the nodes that are no select. */
export async function loadProjectGraph(files: readonly ModelFile[], project: Project): Promise<Graph> {
  return await loadGraph(files, [identityNode, historyNode], loadContracts(files), project);
}
