import { setTimeout as sleep } from "node:timers/promises";
import type { ClientBase, Pool } from "pg";
import { CodedError } from "../../domain/errors.ts";
import { holdingPublishLock, readActiveBuild, readBuild, type Build } from "./build.ts";
import { BUILD_SCHEMAS, MODEL_SCHEMAS, readShapes } from "./catalog.ts";
import type { Graph } from "./graph.ts";
import { checkAhead } from "./checks-ahead.ts";
import { checkCounts, checkInputVersions, finishPublish } from "./publish-guards.ts";
import { finishRelations, preparePublication, putTables, putViews, takeApart } from "./publish-relations.ts";
import { publishIncrement } from "./incremental/publish.ts";
import { ChecksFailed, isFailed, type PublishResult } from "./publish-result.ts";
import { readStateHashes, recordStates } from "./publish-state.ts";
import { countBreaches, withVersions, type CheckResult } from "./run-checks.ts";
import { statementError } from "./sql-errors.ts";

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
      return await holdingPublishLock(pool, (client) => publishOnce(pool, client, graph, buildId));
    } catch (error) {
      if (error instanceof ChecksFailed) await recordFailure(pool, buildId, error);
      const { code } = error as { code?: string };
      // A row that the snapshot of an incremental build had to find unchanged: an erasure moved the epoch.
      if (code === "40001")
        throw new CodedError("epoch_conflict", "the warehouse was changed during the build; build again.", {
          retryable: false,
        });
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

async function publishOnce(pool: Pool, client: ClientBase, graph: Graph, buildId: string): Promise<PublishResult> {
  const earlier = await readBuild(client, buildId);
  if (earlier?.status === "published") return earlier.result as PublishResult;
  if (earlier?.status === "failed") throw new ChecksFailed(earlier.result as CheckResult[]);
  const build = await readActiveBuild(client, graph, buildId);
  return await (build.isIncremental
    ? publishIncrement(client, graph, build)
    : publishComputed(pool, client, graph, build));
}

async function publishComputed(pool: Pool, client: ClientBase, graph: Graph, build: Build): Promise<PublishResult> {
  await client.query("set local search_path = pg_catalog; set local jit = off; set local work_mem = '64MB'");
  await checkInputVersions(client, graph, build);
  const built = await readShapes(client, BUILD_SCHEMAS);
  await checkCounts(client, build, built);
  const ahead = await checkAhead(pool, client, graph, build, built);
  if ([...ahead.values()].some(isFailed)) throw new ChecksFailed([...ahead.values()]);
  const published = await readShapes(client, MODEL_SCHEMAS);
  const hashes = await readStateHashes(client);
  const publication = preparePublication({ graph, build, built, published, hashes });

  const gone = await takeApart(client, publication);
  const rows = await putTables(client, publication, gone);
  const views = await putViews(client, publication, gone);
  const shapes = await finishRelations(client, publication, views);

  // A build of a part, in a new warehouse, has not made what every check reads.
  const ready = graph.checks.filter((check) => check.readings.every(({ relation }) => shapes.has(relation)));
  const now = await countBreaches(
    client,
    ready.filter((check) => !ahead.has(check)),
  );
  const results = new Map([...ahead.values(), ...now].map((result) => [result.name, result]));
  const checks = ready.map(({ name }) => results.get(name)!);
  if (checks.some(isFailed)) throw new ChecksFailed(checks);
  const created = publication.specs.map((spec) => spec.name).filter((relation) => !published.has(relation));
  const reshaped = new Set([...publication.changes.keys(), ...views, ...created]);
  const versions = await recordStates(client, graph, build, { rows, reshaped, removed: publication.removed });
  const relations = [...rows].map(([relation, counts]) => ({ relation, ...counts }));
  const known = checks.map((check) => withVersions(check, graph, versions));
  const result: PublishResult = {
    buildId: build.buildId,
    relations,
    dropped: publication.removed,
    checks: known,
    models: [],
  };
  return await finishPublish(client, build, result);
}

async function recordFailure(pool: Pool, buildId: string, { checks }: ChecksFailed): Promise<void> {
  await pool.query(
    "update ops.builds set status = 'failed', finished_at = now(), result = $2 where build_id = $1 and status = 'active'",
    [buildId, JSON.stringify(checks)],
  );
}
