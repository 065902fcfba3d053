import { setTimeout as sleep } from "node:timers/promises";
import pg, { type ClientBase, type Pool } from "pg";
import { CodedError } from "../../domain/errors.ts";
import { inTransaction } from "../database.ts";
import { dropBuildRelations, lockPublishing, quoteRelation, readActiveBuild, readBuild, type Build } from "./build.ts";
import { BUILD_SCHEMAS, buildName, MODEL_SCHEMAS, readShapes, type Shape } from "./catalog.ts";
import type { Graph } from "./graph.ts";
import { applyDifferences, insertAll, sameKey, type RowChanges } from "./publish-rows.ts";
import {
  alignComments,
  alignForeignKeys,
  alterTable,
  compareShapes,
  createTable,
  createView,
  finishShape,
  viewsOver,
  type ShapeChange,
} from "./publish-shape.ts";
import { readStateHashes, recordStates } from "./publish-state.ts";
import type { RelationSpec } from "./relation.ts";
import { redirect } from "./rewrite.ts";
import { countBreaches, type CheckResult } from "./run-checks.ts";
import { statementError } from "./sql-errors.ts";

export interface PublishResult {
  buildId: string;
  relations: ({ relation: string } & RowChanges)[];
  /** Relations whose model is gone. */
  dropped: string[];
  checks: CheckResult[];
}

/** Checks of severity error returned rows, so nothing was published. */
export class ChecksFailed extends CodedError {
  readonly checks: CheckResult[];
  constructor(checks: CheckResult[]) {
    const failed = checks.filter((check) => check.severity === "error" && check.rows > 0);
    const list = failed.map((check) => `${check.name} (${check.file}): ${check.rows} rows`).join("; ");
    super("check_failed", `nothing was published, since checks failed: ${list}.`, { retryable: false });
    this.name = "ChecksFailed";
    this.checks = checks;
  }
}

/** A shape changes only under a lock that keeps readers waiting; they are asked to wait no longer than this. */
const LOCK_TIMEOUT_MS = 1_500;
const LOCK_ATTEMPTS = 20;

/**
 * Publishes everything that a build has computed, in one transaction that readers see whole or not at all. Publishing
 * the same build again returns the first result.
 *
 * Throws ChecksFailed where a check of severity error returns rows; a CodedError `epoch_conflict` where an erasure, or
 * another writer of published tables, came after the build had begun (plan anew); `build_superseded` where another
 * build has begun; `warehouse_unavailable` where readers kept a relation whose shape changes.
 */
export async function publish(pool: Pool, graph: Graph, buildId: string): Promise<PublishResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(pool, (client) => publishOnce(client, graph, buildId));
    } catch (error) {
      if (error instanceof ChecksFailed) await recordFailure(pool, buildId, error);
      const { code } = error as { code?: string };
      // 55P03: a reader holds the relation. 40P01: a deadlock, with autovacuum or a person's lock.
      if (code !== "55P03" && code !== "40P01") throw statementError(error, { file: "publish" });
      if (attempt === LOCK_ATTEMPTS) {
        const message = "readers keep a relation whose shape changes; publish again later or end them.";
        throw new CodedError("warehouse_unavailable", message, { retryable: true });
      }
      await sleep(100 * attempt * (0.5 + Math.random()));
    }
  }
}

async function publishOnce(client: ClientBase, graph: Graph, buildId: string): Promise<PublishResult> {
  await lockPublishing(client);
  const earlier = await readBuild(client, buildId);
  if (earlier?.status === "published") return earlier.result as PublishResult;
  if (earlier?.status === "failed") throw new ChecksFailed(earlier.result as CheckResult[]);
  const build = await readActiveBuild(client, graph, buildId);
  await client.query("set local search_path = pg_catalog; set local jit = off; set local work_mem = '64MB'");
  await checkInputVersions(client, build);
  const built = await readShapes(client, BUILD_SCHEMAS);
  await checkCounts(client, build, built);
  const published = await readShapes(client, MODEL_SCHEMAS);
  const hashes = await readStateHashes(client);
  const specs = [...graph.specs.values()].filter((spec) => build.relations.has(spec.name));
  const changes = new Map<string, ShapeChange>();
  for (const spec of specs) {
    const before = published.get(spec.name);
    if (spec.materialize === "view" || before?.kind !== "table") continue;
    const change = compareShapes(spec, before, built.get(buildName(spec.name))!);
    if (change) changes.set(spec.name, change);
  }
  const removed = build.isComplete
    ? [...hashes.keys()].filter((relation) => published.has(relation) && !graph.specs.has(relation))
    : [];
  const gone = await takeApart(client, { build, specs, published, hashes, changes, removed });

  for (const [relation, change] of changes) {
    if (gone.has(relation)) continue;
    await alterTable(client, graph.specs.get(relation)!, published.get(relation)!, change);
  }
  const rows = new Map<string, RowChanges>();
  for (const spec of specs) {
    if (spec.materialize === "view") continue;
    const file = graph.makers.get(spec.name)!.file;
    const shape = built.get(buildName(spec.name))!;
    rows.set(
      spec.name,
      await fillTable(client, { build, spec, shape, published, change: changes.get(spec.name), gone, file }),
    );
  }
  // Before anything else is altered: a table with checks still to be made can't be.
  await client.query("set constraints all immediate");
  for (const [relation, change] of changes) {
    if (!gone.has(relation)) await finishChanged(client, graph, relation, built.get(buildName(relation))!, change);
  }
  const current = (relation: string) => {
    const hash = build.relations.get(relation)?.definitionHash ?? hashes.get(relation);
    return hash?.split(":")[0] === graph.makers.get(relation)?.hash;
  };
  const keyed = [...graph.specs.values()].filter((spec) => spec.materialize !== "view" && current(spec.name));
  await alignForeignKeys(
    client,
    keyed,
    await readShapes(client, ["core", "mart"]),
    (relation) => graph.specs.get(relation)!.key,
  );
  const views = await putViews(client, graph, build, { published, hashes, gone });
  const tables = removed.filter((relation) => published.get(relation)!.kind === "table");
  if (tables.length) await client.query(`drop table ${tables.map(quoteRelation).join(", ")}`);
  const shapes = await readShapes(client, MODEL_SCHEMAS);
  for (const spec of graph.specs.values()) {
    const shape = shapes.get(spec.name);
    if (shape && (build.relations.has(spec.name) || views.has(spec.name))) {
      await alignComments(client, spec, shape, (text) => pg.escapeLiteral(text));
    }
  }
  const checks = await countBreaches(client, graph.checks);
  if (checks.some((check) => check.severity === "error" && check.rows > 0)) throw new ChecksFailed(checks);
  const reshaped = new Set([
    ...changes.keys(),
    ...views,
    ...specs.map((s) => s.name).filter((name) => !published.has(name)),
  ]);
  await recordStates(client, graph, build, { rows, reshaped, removed });
  const result: PublishResult = {
    buildId,
    relations: [...rows].map(([relation, counts]) => ({ relation, ...counts })),
    dropped: removed,
    checks,
  };
  await client.query(
    "update ops.builds set status = 'published', finished_at = now(), result = $2 where build_id = $1",
    [buildId, JSON.stringify(result)],
  );
  await dropBuildRelations(client);
  await confirmEpoch(client, build);
  return result;
}

/** Another writer of published tables may have changed what the models read; their rows would undo its work. */
async function checkInputVersions(client: ClientBase, build: Build): Promise<void> {
  const { rows } = await client.query<{ relation: string; version: number }>(
    "select relation, version::float8 as version from ops.relation_state where relation !~ '^raw[.]'",
  );
  const versions = new Map(rows.map((row) => [row.relation, row.version]));
  for (const { relation, isComputed, inputVersions } of build.relations.values()) {
    if (!isComputed) throw new CodedError("internal", `${relation} was not computed.`, { retryable: false });
    for (const [input, version] of Object.entries(inputVersions)) {
      if (input.startsWith("raw.") || (versions.get(input) ?? 0) === version) continue;
      throw new CodedError("epoch_conflict", `${input} was changed during the build; build again.`, {
        retryable: false,
      });
    }
  }
}

async function checkCounts(client: ClientBase, build: Build, built: ReadonlyMap<string, Shape>): Promise<void> {
  for (const { relation, rowCount } of build.relations.values()) {
    const shape = built.get(buildName(relation));
    if (shape?.kind === "view" && rowCount === null) continue;
    const { rows } = shape
      ? await client.query<{ count: number }>(
          `select count(*)::float8 as count from ${quoteRelation(buildName(relation))}`,
        )
      : { rows: [] };
    if (rows[0]?.count === rowCount && rowCount !== null) continue;
    throw new CodedError("internal", `${relation} no longer holds the rows that were computed; build again.`, {
      retryable: false,
    });
  }
}

interface Before {
  published: ReadonlyMap<string, Shape>;
  hashes: ReadonlyMap<string, string>;
}

/**
 * Takes every lock that keeps readers waiting, at once and for a bounded time, and drops the views that stand in the way
 * of new shapes. Returns what was dropped.
 */
async function takeApart(
  client: ClientBase,
  plan: Before & { build: Build; specs: RelationSpec[]; changes: ReadonlyMap<string, ShapeChange>; removed: string[] },
): Promise<Set<string>> {
  const { build, published, hashes, changes, removed } = plan;
  const isReplaced = (spec: RelationSpec) => {
    const before = published.get(spec.name);
    if (!before) return false;
    const kind = spec.materialize === "view" ? "view" : "table";
    return (
      before.kind !== kind ||
      (kind === "view" && hashes.get(spec.name) !== build.relations.get(spec.name)!.definitionHash)
    );
  };
  const replaced = [...plan.specs.filter(isReplaced).map((spec) => spec.name), ...removed];
  const touched = [...replaced, ...changes.keys()];
  if (!touched.length) return new Set();
  await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
  const views = new Set([
    ...replaced.filter((relation) => published.get(relation)!.kind === "view"),
    ...(await viewsOver(client, touched)),
  ]);
  const tables = touched.filter((relation) => published.get(relation)!.kind === "table").sort();
  for (const table of tables) await client.query(`lock table ${quoteRelation(table)} in access exclusive mode`);
  if (views.size) await client.query(`drop view ${[...views].map(quoteRelation).join(", ")}`);
  // A table that becomes a view goes now; foreign keys that pointed at it were refused when the graph was read.
  const turned = tables.filter((relation) => replaced.includes(relation) && !removed.includes(relation));
  if (turned.length) await client.query(`drop table ${turned.map(quoteRelation).join(", ")} cascade`);
  await client.query("set local lock_timeout = 0");
  return new Set([...views, ...turned]);
}

async function fillTable(
  client: ClientBase,
  table: {
    build: Build;
    spec: RelationSpec;
    shape: Shape;
    published: ReadonlyMap<string, Shape>;
    change: ShapeChange | undefined;
    gone: ReadonlySet<string>;
    file: string;
  },
): Promise<RowChanges> {
  const { build, spec, shape, change, file } = table;
  const before = table.gone.has(spec.name) ? undefined : table.published.get(spec.name);
  try {
    if (!before) {
      await createTable(client, spec);
      const counts = await insertAll(client, spec, shape);
      await finishShape(client, spec, shape, null);
      return counts;
    }
    return change?.isKeyChanged
      ? await insertAll(client, spec, shape)
      : await applyDifferences(client, spec, shape, build.relations.get(spec.name)!.rowCount!);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "23505" || code === "21000") throw sameKey(spec);
    throw code === "40P01" ? error : statementError(error, { file });
  }
}

async function finishChanged(client: ClientBase, graph: Graph, relation: string, shape: Shape, change: ShapeChange) {
  const spec = graph.specs.get(relation)!;
  try {
    await finishShape(client, spec, shape, change);
  } catch (error) {
    if ((error as { code?: string }).code === "23505") throw sameKey(spec);
    throw statementError(error, { file: graph.makers.get(relation)!.file });
  }
}

/** Makes the views that are new, edited, or went with a shape that they read. Returns their names. */
async function putViews(
  client: ClientBase,
  graph: Graph,
  build: Build,
  { published, gone }: Before & { gone: ReadonlySet<string> },
): Promise<Set<string>> {
  const made = new Set<string>();
  for (const step of graph.steps) {
    if (step.kind !== "sql" || step.model.spec.materialize !== "view") continue;
    const isMissing = build.relations.has(step.name) && (!published.has(step.name) || gone.has(step.name));
    if (!isMissing && !gone.has(step.name)) continue;
    const sql = redirect(step.model.statement, [], () => null);
    try {
      await createView(client, step.model.spec, sql);
    } catch (error) {
      throw statementError(error, { file: step.file });
    }
    made.add(step.name);
  }
  return made;
}

/** The last statement: an erasure that began after the build must not find its person written again. */
async function confirmEpoch(client: ClientBase, build: Build): Promise<void> {
  const { rows } = await client.query<{ epoch: string }>("select epoch from privacy.epoch for share");
  if (rows[0]?.epoch === build.epoch) return;
  throw new CodedError("epoch_conflict", "a person was erased during the build; build again.", { retryable: false });
}

async function recordFailure(pool: Pool, buildId: string, { checks }: ChecksFailed): Promise<void> {
  await pool.query(
    "update ops.builds set status = 'failed', finished_at = now(), result = $2 where build_id = $1 and status = 'active'",
    [buildId, JSON.stringify(checks)],
  );
}
