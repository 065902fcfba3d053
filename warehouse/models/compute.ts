import type { ClientBase, Pool } from "pg";
import { CodedError } from "../../domain/errors.ts";
import { quoteName } from "../database.ts";
import {
  confirmActive,
  inputName,
  quoteRelation,
  readActiveBuild,
  readVersions,
  withAttemptLock,
  type Build,
} from "./build.ts";
import { buildName, readShapes } from "./catalog.ts";
import { checkMember, computeContract, explainNull } from "./compute-contract.ts";
import type { Graph } from "./graph.ts";
import { keyNewTables } from "./new-tables.ts";
import type { Step } from "./steps.ts";
import type { RelationSpec } from "./relation.ts";
import { redirect } from "./rewrite.ts";
import { SecondSession } from "./second-session.ts";
import { statementError } from "./sql-errors.ts";
import { transaction } from "./transaction.ts";
import { onTwoSessions } from "./two-sessions.ts";

/** What a step computed; a view has no rows of its own. */
export interface ComputeResult {
  step: string;
  rows: Record<string, number | null>;
  milliseconds: number;
}

/**
 * Computes what is read from raw, all under one snapshot: the staging views, the contracts' unions, and core models
 * over staging. A retry computes all of it again, so that no line appears without its order.
 */
export async function computeContracts(pool: Pool, graph: Graph, buildId: string): Promise<ComputeResult[]> {
  return await withAttemptLock(pool, buildId, "contracts", async (client) => {
    const build = await readActiveBuild(client, graph, buildId);
    const steps = graph.steps.filter((step) => step.isSnapshot && build.relations.has(step.name));
    if (steps.every((step) => build.relations.get(step.name)!.isComputed)) return recordedResults(build, steps);
    const results: ComputeResult[] = [];
    const views = steps.filter((step) => step.outputs[0]!.materialize === "view");
    await transaction(client, "begin", async () => {
      for (const step of views) results.push(await computeStep(client, graph, build, step));
      await checkMembers(client, build, steps);
      await confirmActive(client, buildId);
    });
    const queue = steps.filter((step) => !views.includes(step));
    const work = async (worker: ClientBase) => {
      for (let step = queue.shift(); step; step = queue.shift())
        results.push(await computeStep(worker, graph, build, step));
      await confirmActive(worker, buildId);
    };
    await transaction(client, "begin isolation level repeatable read", () => onTwoSessions(pool, client, queue, work));
    return results;
  });
}

/** Computes one step of the plan into its build schema. Safe to call again: what is recorded is not computed twice. */
export async function computeModel(
  pool: Pool,
  graph: Graph,
  buildId: string,
  stepName: string,
): Promise<ComputeResult> {
  return await withAttemptLock(pool, buildId, stepName, async (client) => {
    const build = await readActiveBuild(client, graph, buildId);
    const step = graph.steps.find((other) => other.name === stepName);
    if (!step || !step.outputs.every((spec) => build.relations.has(spec.name))) {
      throw new CodedError("internal", `${stepName} is no step of this build.`, { retryable: false });
    }
    if (step.outputs.every((spec) => build.relations.get(spec.name)!.isComputed))
      return recordedResults(build, [step])[0]!;
    // What an attempt that failed has left would make a second session wait for this one.
    if (step.kind === "node") await transaction(client, "begin", () => dropOutputs(client, step));
    const second = new SecondSession(pool, client, becomeTransformer);
    try {
      return await transaction(client, "begin isolation level repeatable read", async () => {
        const result = await computeStep(client, graph, build, step, second);
        await confirmActive(client, buildId);
        return result;
      });
    } finally {
      await second.close();
    }
  });
}

/**
 * Inside a transaction: computes as the role `transformer`, and records rows and the versions of what was read.
 * @param second may be used besides; it is committed here
 */
export async function computeStep(
  client: ClientBase,
  graph: Graph,
  build: Build,
  step: Step,
  second?: SecondSession,
): Promise<ComputeResult> {
  const start = performance.now();
  const versions = await readVersions(client, graph, build, step);
  await dropOutputs(client, step);
  const rest = new Set(step.outputs.filter((spec) => spec.materialize !== "view"));
  const finish = async (session: ClientBase, specs: readonly RelationSpec[]) => {
    for (const spec of specs) rest.delete(spec);
    for (const spec of specs) await finishTable(session, build, step, spec);
    // An incremental build, which reads all as published, computes nothing new and asks its tables for their keys alone.
    const isRead = build.relations.has(step.outputs[0]!.name);
    if (isRead) await keyNewTables(session, graph, step, specs);
    const tables = specs.map((spec) => {
      const key = isRead ? "" : ` (${spec.key.map((name) => quoteName(name)).join(", ")})`;
      return `${quoteRelation(buildName(spec.name))}${key}`;
    });
    if (tables.length === 0) return;
    // What only models read is joined by its keys: a third of the sample, and of the time, gives the same plans.
    const target = specs.every(({ name }) => name.startsWith("core.")) ? 30 : 100;
    await session.query(`set local default_statistics_target = ${target}; analyze ${tables.join(", ")}`);
  };
  const rows = await computeRows(client, graph, build, step, second && { open: second.open, finish });
  await finish(client, [...rest]);
  await client.query("reset role");
  await second?.commit(async (session) => {
    await session.query("reset role");
    await confirmActive(session, build.buildId);
  });
  for (const [relation, count] of Object.entries(rows)) {
    await client.query(
      `update ops.build_relations set computed_at = clock_timestamp(), row_count = $3, input_versions = $4,
         horizon = pg_snapshot_xmin(pg_current_snapshot())
       where build_id = $1 and relation = $2`,
      [build.buildId, relation, count, JSON.stringify(versions)],
    );
  }
  return { step: step.name, rows, milliseconds: Math.round(performance.now() - start) };
}

/** Becomes, until the transaction ends, who computes. */
async function becomeTransformer(client: ClientBase): Promise<void> {
  // A server that checks now and then notices a dead client during a long statement, and frees its locks.
  await client.query(`set local search_path = pg_catalog; set local jit = off; set local work_mem = '64MB';
    set local maintenance_work_mem = '256MB'; set local client_connection_check_interval = '2s'; set local role transformer`);
}

async function dropOutputs(client: ClientBase, step: Step): Promise<void> {
  await becomeTransformer(client);
  for (const spec of step.outputs) {
    const kind = spec.materialize === "view" ? "view" : "table";
    await client.query(`drop ${kind} if exists ${quoteRelation(buildName(spec.name))} cascade`);
  }
}

async function computeRows(
  client: ClientBase,
  graph: Graph,
  build: Build,
  step: Step,
  beside?: {
    open: () => Promise<ClientBase>;
    finish: (session: ClientBase, specs: readonly RelationSpec[]) => Promise<void>;
  },
): Promise<Record<string, number | null>> {
  if (step.kind === "contract") return { [step.name]: await computeContract(client, build, step) };
  if (step.kind === "sql") {
    const { spec, statement, readings } = step.model;
    const isView = spec.materialize === "view";
    const schemaOf = (relation: string) => (build.relations.has(relation) ? buildName(relation).split(".")[0]! : null);
    const target = quoteRelation(buildName(spec.name));
    const sql = `create ${isView ? "view" : "table"} ${target} as\n${redirect(statement, readings, schemaOf)}\n`;
    try {
      const { rowCount } = await client.query(sql);
      return { [spec.name]: isView ? null : (rowCount ?? 0) };
    } catch (error) {
      throw statementError(error, { file: step.file, sql, linesBefore: 1 });
    }
  }
  const outputs = new Set(step.outputs.map((spec) => spec.name));
  const published = await readShapes(client, ["core", "mart"], [...(step.node.remembers ?? [])]);
  try {
    return await step.node.compute({
      client,
      input: (relation) => quoteRelation(inputName(build, relation)),
      output: (relation) => {
        if (!outputs.has(relation)) throw new Error(`${step.name} does not declare the output ${relation}`);
        return quoteRelation(buildName(relation));
      },
      published: (relation) => {
        if (!step.node.remembers?.includes(relation))
          throw new Error(`${step.name} does not say that it remembers ${relation}`);
        return published.has(relation) ? quoteRelation(relation) : null;
      },
      rules: graph.settings.identity,
      ...(beside && {
        openSecond: beside.open,
        finish: (session, relation) => beside.finish(session, [graph.specs.get(relation)!]),
      }),
    });
  } catch (error) {
    throw statementError(error, { file: step.file });
  }
}

/**
 * Not-null columns are checked here, where the model is still known by name. Until the table is published, autovacuum leaves it
 * alone: a publish that moves a table waits for it, a second for each.
 */
async function finishTable(client: ClientBase, build: Build, step: Step, spec: RelationSpec): Promise<void> {
  const table = quoteRelation(buildName(spec.name));
  const columns = [...new Set([...spec.key, ...spec.notNull])];
  await client.query("savepoint filled");
  try {
    await client.query(
      `alter table ${table} set (autovacuum_enabled = false, toast.autovacuum_enabled = false),
         ${columns.map((name) => `alter column ${quoteName(name)} set not null`).join(", ")}`,
    );
  } catch (error) {
    await client.query("rollback to savepoint filled");
    if (step.kind === "contract") await explainNull(client, build, step, error);
    throw statementError(error, { file: step.file });
  }
}

/** Compares the staging models' columns with their contracts, before any row is read. */
async function checkMembers(client: ClientBase, build: Build, steps: readonly Step[]): Promise<void> {
  const contracts = steps.filter((step) => step.kind === "contract");
  const names = contracts.flatMap((step) => step.members.map((member) => inputName(build, member.relation)));
  const shapes = await readShapes(client, ["staging", "build_staging"], names);
  for (const step of contracts) {
    for (const member of step.members)
      checkMember(step.contract, member, shapes.get(inputName(build, member.relation)));
  }
}

function recordedResults(build: Build, steps: readonly Step[]): ComputeResult[] {
  return steps.map((step) => ({
    step: step.name,
    rows: Object.fromEntries(step.outputs.map(({ name }) => [name, build.relations.get(name)!.rowCount])),
    milliseconds: 0,
  }));
}
