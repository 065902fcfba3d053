import { UserError, UserErrors } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import { useLimitsNode } from "../consent/use-limits-node.ts";
import { loadContracts } from "../contracts.ts";
import { goalsNode, loadGoal } from "../goals-node.ts";
import { historyNode } from "../history-node.ts";
import { identityNode } from "../identity-node.ts";
import { keptCampaignsNode, keptCreditNode } from "../kept-credit-node.ts";
import { loadSegment, type Segment } from "../segments.ts";
import { segmentsNode } from "../segments-node.ts";
import { survivorshipNode } from "../survivorship-node.ts";
import { loadGraph, type Graph, type GraphProject } from "./graph.ts";
import { loadParser, type ModelFile } from "./syntax.ts";

/**
 * The graph of a project: its SQL tree, the contracts, and the nodes that are no select. Throws UserErrors, all of them at
 * once, each with its place.
 */
export async function loadProjectGraph(
  files: readonly ModelFile[],
  project: GraphProject & Pick<Project, "goals" | "survivorship">,
): Promise<Graph> {
  await loadParser();
  const errors: UserError[] = [];
  const goals = loadEach(project.goals, loadGoal, errors);
  const segments = loadEach(segmentFiles(files), loadSegment, errors);
  try {
    const nodes = [
      identityNode,
      survivorshipNode(project.survivorship),
      historyNode,
      keptCampaignsNode,
      keptCreditNode,
      useLimitsNode,
      goalsNode(goals),
      segmentsNode(segments),
    ];
    const graph = await loadGraph(files, nodes, loadContracts(files), project);
    if (!errors.length) return graph;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    errors.push(...errorsOf(error));
  }
  throw new UserErrors(errors);
}

/** The segments of a SQL tree, by name. Throws UserErrors with file and line. */
export async function loadSegments(files: readonly ModelFile[]): Promise<Map<string, Segment>> {
  await loadParser();
  const errors: UserError[] = [];
  const segments = loadEach(segmentFiles(files), loadSegment, errors);
  if (errors.length) throw new UserErrors(errors);
  return new Map(segments.map((segment) => [segment.name, segment]));
}

function segmentFiles(files: readonly ModelFile[]): ModelFile[] {
  return files.filter((file) => /^segments\/.*\.sql$/.test(file.path));
}

function loadEach<T, R>(items: readonly T[], load: (item: T) => R, errors: UserError[]): R[] {
  return items.flatMap((item) => {
    try {
      return [load(item)];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      errors.push(...errorsOf(error));
      return [];
    }
  });
}

function errorsOf(error: UserError): readonly UserError[] {
  return error instanceof UserErrors ? error.errors : [error];
}
