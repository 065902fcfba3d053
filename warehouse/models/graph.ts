import { UserError, UserErrors } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import { rawTableName } from "../../domain/streams.ts";
import type { Contract } from "../contracts.ts";
import { loadCheck, type Check } from "./check.ts";
import { checkReferences, closest, findFollowed, orderSteps } from "./graph-rules.ts";
import { inputsOf, type MartSelect } from "./mart-select.ts";
import { loadModel, type Model } from "./model.ts";
import type { ModelNode, RelationSpec } from "./relation.ts";
import { checkSensitive } from "./sensitive.ts";
import { contractStep, describeSteps, nodeStep, sqlStep, type Step } from "./steps.ts";
import { loadParser, placeAt, type ModelFile, type Statement } from "./syntax.ts";

export interface Graph {
  /** Every step after those whose outputs it reads. */
  steps: Step[];
  /** The step that makes a relation. */
  makers: ReadonlyMap<string, Step>;
  specs: ReadonlyMap<string, RelationSpec>;
  checks: Check[];
  settings: { currency: string; timeZone: string; identity: Project["identity"] };
  /** Raw tables (`raw.shop__orders`) that the project's streams fill, with the stream's source. */
  raw: ReadonlyMap<string, RawTable>;
}

export interface RawTable {
  source: string;
  stream: string;
  /** The relation whose version moves when the table's rows change: a history's are its current table's. */
  changesWith: string;
}

export type GraphProject = Pick<Project, "currency" | "timeZone" | "identity" | "sources">;

/** What each layer may read. */
const MAY_READ: Record<string, string[]> = {
  staging: ["raw"],
  core: ["staging", "core"],
  mart: ["core", "mart"],
  check: ["core", "mart"],
  query: ["mart"],
};

const READERS: Record<string, string> = { check: "a check", query: "a segment or goal" };

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

  const raw = new Map<string, RawTable>();
  for (const source of project.sources) {
    for (const stream of source.streams) {
      const table = `raw.${rawTableName(source.name, stream.name)}`;
      const entry = { source: source.name, stream: stream.name, changesWith: table };
      raw.set(table, entry);
      if (!raw.has(`${table}__history`)) raw.set(`${table}__history`, entry);
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
        fail(`${READERS[layer] ?? `a ${layer} model`} reads ${allowed.join(" and ")} only, not ${reading.relation}.`);
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
    const selects = step.node.selects ?? [];
    for (const select of selects) select.readings.forEach(read(select.statement, "query"));
    const told = inputsOf(selects);
    for (const input of step.inputs) {
      if (makers.has(input) || input.startsWith("ops.") || told.includes(input)) continue;
      errors.push(new UserError(`reads ${input}, which no model makes; add its model.`, { file: step.file }));
    }
  }
  if (errors.length) throw new UserErrors(errors);
  const ordered = orderSteps(steps, makers);
  describeSteps(ordered, contracts, errors);
  for (const step of ordered) checkReferences(step, makers, errors);
  checkSensitive(
    project.sources.flatMap(({ streams }) => streams),
    ordered,
    checks,
    errors,
  );
  for (const follower of [...checks, ...selectsOf(ordered)]) {
    const place = { file: follower.statement.file.displayFile };
    const inputs = follower.readings.map(({ relation }) => relation);
    const fail = (mend: string) => errors.push(new UserError(mend, place));
    follower.follows = findFollowed(follower.follows, inputs, follower.output, makers, fail);
  }
  if (errors.length) throw new UserErrors(errors);
  const specs = new Map(ordered.flatMap((step) => step.outputs.map((spec) => [spec.name, spec] as const)));
  const { currency, timeZone, identity } = project;
  return { steps: ordered, makers, specs, checks, settings: { currency, timeZone, identity }, raw };
}

/** The selects that nodes run. */
export function selectsOf(steps: readonly Step[]): MartSelect[] {
  return steps.flatMap((step) => (step.kind === "node" ? (step.node.selects ?? []) : []));
}
