import { createHash } from "node:crypto";
import { UserError, UserErrors } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import { rawTableName } from "../../domain/streams.ts";
import { contractSpec, EXTRA_TOKEN, type Contract } from "../contracts.ts";
import { loadCheck, type Check } from "./check.ts";
import { outputColumns } from "./columns.ts";
import type { SettingName } from "./functions.ts";
import { checkContract, checkReferences, closest, orderSteps } from "./graph-rules.ts";
import { loadModel, type Model } from "./model.ts";
import type { ModelNode, RelationSpec } from "./relation.ts";
import { loadParser, placeAt, type ModelFile, type Statement } from "./syntax.ts";

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

export interface Graph {
  /** Every step after those whose outputs it reads. */
  steps: Step[];
  /** The step that makes a relation. */
  makers: ReadonlyMap<string, Step>;
  specs: ReadonlyMap<string, RelationSpec>;
  checks: Check[];
  settings: { currency: string; timeZone: string; identity: Project["identity"] };
  /** Raw tables (`raw.shop__orders`) that the project's streams fill, with the stream's source. */
  raw: ReadonlyMap<string, { source: string; stream: string }>;
}

export type GraphProject = Pick<Project, "currency" | "timeZone" | "identity" | "sources">;

/** What each layer may read. */
const MAY_READ: Record<string, string[]> = {
  staging: ["raw"],
  core: ["staging", "core"],
  mart: ["core", "mart"],
  check: ["core", "mart"],
};

/**
 * Parses and joins everything that a build computes. Throws UserErrors, all of them at once, each with file and line.
 *
 * @param files the SQL tree of the project laid over the package's
 * @param nodes the model graph's TypeScript nodes
 * @param contracts by name, as `loadContracts` returns them
 */
export async function loadGraph(
  files: readonly ModelFile[],
  nodes: readonly ModelNode[],
  contracts: ReadonlyMap<string, Contract>,
  project: GraphProject,
): Promise<Graph> {
  await loadParser();
  const errors: UserError[] = [];
  const collect = <T>(load: () => T): T | undefined => {
    try {
      return load();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      errors.push(...(error instanceof UserErrors ? error.errors : [error]));
      return undefined;
    }
  };
  const models: Model[] = [];
  const checks: Check[] = [];
  for (const file of files) {
    if (/^models\/.*\.sql$/.test(file.path)) models.push(...(collect(() => [loadModel(file)]) ?? []));
    if (/^checks\/.*\.sql$/.test(file.path)) checks.push(...(collect(() => [loadCheck(file)]) ?? []));
  }
  if (errors.length) throw new UserErrors(errors);

  const raw = new Map<string, { source: string; stream: string }>();
  for (const source of project.sources) {
    for (const stream of source.streams) {
      const table = rawTableName(source.name, stream.name);
      raw.set(`raw.${table}`, { source: source.name, stream: stream.name });
      raw.set(`raw.${table}__history`, { source: source.name, stream: stream.name });
    }
  }
  const steps: Step[] = [
    ...models.map(sqlStep),
    ...[...contracts.values()].map((contract) => contractStep(contract, models, raw)),
    ...nodes.map(nodeStep),
  ];
  const makers = new Map<string, Step>();
  for (const step of steps) {
    for (const { name } of step.outputs) {
      const other = makers.get(name);
      if (other) errors.push(new UserError(`${name} is made by ${other.file} too; rename one.`, { file: step.file }));
      makers.set(name, step);
    }
  }
  const known = [...makers.keys(), ...raw.keys()];
  const read =
    (statement: Statement, layer: string, model?: Model) =>
    (reading: { relation: string; schema: string; location: number }) => {
      const fail = (mend: string) => errors.push(new UserError(mend, placeAt(statement, reading.location)));
      const allowed = MAY_READ[layer]!;
      if (!allowed.includes(reading.schema)) {
        fail(
          `${layer === "check" ? "a check" : `a ${layer} model`} reads ${allowed.join(" and ")} only, not ${reading.relation}.`,
        );
      } else if (!makers.has(reading.relation) && !raw.has(reading.relation)) {
        const near = closest(reading.relation, known);
        const hint = near
          ? `did you mean ${near}?`
          : reading.schema === "raw"
            ? "declare its stream."
            : "add its model.";
        fail(`there is no relation ${reading.relation}; ${hint}`);
      } else if (
        layer === "core" &&
        reading.schema === "staging" &&
        model!.readings.some((other) => other.schema === "core")
      ) {
        fail(
          `reads ${reading.relation} beside core: staging is read under the snapshot of the contracts, before core; split the model.`,
        );
      }
    };
  for (const model of models) model.readings.forEach(read(model.statement, model.layer, model));
  for (const check of checks) check.readings.forEach(read(check.statement, "check"));
  for (const step of steps) {
    if (step.kind !== "node") continue;
    for (const input of step.inputs) {
      if (makers.has(input) || input.startsWith("ops.")) continue;
      errors.push(new UserError(`reads ${input}, which no model makes; add its model.`, { file: step.file }));
    }
  }
  if (errors.length) throw new UserErrors(errors);
  const ordered = orderSteps(steps, makers);
  describeSteps(ordered, contracts, errors);
  for (const step of ordered) checkReferences(step, makers, errors);
  if (errors.length) throw new UserErrors(errors);
  const specs = new Map(ordered.flatMap((step) => step.outputs.map((spec) => [spec.name, spec] as const)));
  const { currency, timeZone, identity } = project;
  return { steps: ordered, makers, specs, checks, settings: { currency, timeZone, identity }, raw };
}

function sqlStep(model: Model): SqlStep {
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

function contractStep(contract: Contract, models: readonly Model[], raw: Graph["raw"]): ContractStep {
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

function nodeStep(node: ModelNode): NodeStep {
  const { name, outputs } = node;
  const inputs = node.inputs.toSorted();
  return { kind: "node", name, file: name, inputs, outputs, hash: "", settings: ["identity"], isSnapshot: false, node };
}

/**
 * What only the inputs tell of a step: its columns where it writes `*`, descriptions of the columns that it passes on,
 * and so its hash.
 */
function describeSteps(steps: readonly Step[], contracts: ReadonlyMap<string, Contract>, errors: UserError[]): void {
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
        const [source] = sources;
        const inherited = isCopy && source ? specs.get(source.relation)?.columns[source.column] : undefined;
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
