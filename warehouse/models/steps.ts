import { createHash } from "node:crypto";
import type { UserError } from "../../domain/errors.ts";
import { contractSpec, EXTRA_TOKEN, type Contract } from "../contracts.ts";
import { outputColumns } from "./columns.ts";
import type { SettingName } from "./functions.ts";
import { checkContract } from "./graph-rules.ts";
import type { RawTable } from "./graph.ts";
import type { Model } from "./model.ts";
import type { ModelNode, RelationSpec } from "./relation.ts";

/** One thing that a build computes: a SQL model, a contract's union, or a node with all its outputs. */
export type Step = SqlStep | ContractStep | NodeStep;

interface StepBase {
  /** The relation's name; for a node, the node's. */
  name: string;
  /** The file that a person would edit, for errors; a node's name where there is none. */
  file: string;
  /** Relations that it reads, sorted. */
  inputs: string[];
  outputs: RelationSpec[];
  /** Changes when its rows, its shape or its comments would for the same inputs. */
  hash: string;
  /** Settings of the project whose values its rows depend on. */
  settings: SettingName[];
  /** Whether it is computed under the one snapshot of raw that all contracts share. */
  isSnapshot: boolean;
}

export interface SqlStep extends StepBase {
  kind: "sql";
  model: Model;
}
export interface ContractStep extends StepBase {
  kind: "contract";
  contract: Contract;
  members: { relation: string; source: string; file: string }[];
}
export interface NodeStep extends StepBase {
  kind: "node";
  node: ModelNode;
}

export function sqlStep(model: Model): SqlStep {
  const inputs = [...new Set(model.readings.map((reading) => reading.relation))].sort();
  return {
    kind: "sql",
    name: model.spec.name,
    file: model.statement.file.displayFile,
    inputs,
    outputs: [model.spec],
    hash: "",
    settings: [...model.settings].sort(),
    isSnapshot: model.layer === "staging" || inputs.some((input) => input.startsWith("staging.")),
    model,
  };
}

export function contractStep(
  contract: Contract,
  models: readonly Model[],
  raw: ReadonlyMap<string, RawTable>,
): ContractStep {
  const members = models
    .filter((model) => model.contract === contract.name)
    .map((model) => {
      const sources = new Set(model.readings.map((reading) => raw.get(reading.relation)?.source));
      const [only] = sources;
      const name = model.spec.name.replace("staging.", "");
      // A model over several sources has no source but its own name's.
      const source = sources.size === 1 && only ? only : name.replace(/__.*$/, "");
      return { relation: model.spec.name, source, file: model.statement.file.displayFile };
    })
    .sort((a, b) => (a.relation < b.relation ? -1 : 1));
  return {
    kind: "contract",
    name: `core.${contract.name}`,
    file: contract.file,
    inputs: members.map((member) => member.relation),
    outputs: [contractSpec(contract)],
    hash: "",
    settings: [],
    isSnapshot: true,
    contract,
    members,
  };
}

export function nodeStep(node: ModelNode): NodeStep {
  const { name, outputs } = node;
  const settings = [...new Set<SettingName>(["identity", ...(node.settings ?? [])])].sort();
  const inputs = node.inputs.toSorted();
  return { kind: "node", name, file: name, inputs, outputs, hash: "", settings, isSnapshot: false, node };
}

/**
 * What only the inputs tell of a step: its columns where it writes `*`, descriptions of the columns that it passes on,
 * and so its hash.
 */
export function describeSteps(
  steps: readonly Step[],
  contracts: ReadonlyMap<string, Contract>,
  errors: UserError[],
): void {
  const specs = new Map<string, RelationSpec>();
  const columns = new Map<string, readonly string[]>();
  const names = (relation: string) => columns.get(relation) ?? null;
  for (const step of steps) {
    if (step.kind === "sql") {
      const { model } = step;
      model.output = outputColumns(model.statement.select, names);
      if (model.output.isComplete)
        columns.set(
          step.name,
          model.output.columns.map((column) => column.name),
        );
      checkContract(model, contracts, errors);
      for (const { name, sources, isCopy } of model.output.columns) {
        const [source, ...others] = sources;
        const inherited =
          isCopy && source && others.length === 0 ? specs.get(source.relation)?.columns[source.column] : undefined;
        if (inherited) model.spec.columns[name] ??= inherited;
      }
    } else if (step.kind === "contract") {
      const members = step.members.map((member) => names(member.relation));
      const [spec] = step.outputs as [RelationSpec];
      const tokens = members.flatMap((member) => member?.filter((name) => name.endsWith("_token")) ?? []);
      for (const token of tokens) spec.columns[token] ??= EXTRA_TOKEN;
      if (members.every((member) => member)) columns.set(step.name, Object.keys(spec.columns));
    } else for (const spec of step.outputs) columns.set(spec.name, Object.keys(spec.columns));
    for (const spec of step.outputs) specs.set(spec.name, spec);
    step.hash = hash(step);
  }
}

function hash(step: Step): string {
  const own =
    step.kind === "sql"
      ? step.model.statement.file.text
      : step.kind === "node"
        ? step.node.version
        : JSON.stringify([step.contract.columns, step.members.map(({ relation, source }) => [relation, source])]);
  return createHash("sha256")
    .update(JSON.stringify([own, step.outputs]))
    .digest("hex")
    .slice(0, 32);
}
