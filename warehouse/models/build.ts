import { createHash } from "node:crypto";
import type { ClientBase, Pool } from "pg";
import { CodedError } from "../../domain/errors.ts";
import { quoteName } from "../database.ts";
import { BUILD_SCHEMAS, buildName, readShapes } from "./catalog.ts";
import type { Graph } from "./graph.ts";
import { statementError } from "./sql-errors.ts";
import type { Step } from "./steps.ts";

/** A build as `ops.builds` keeps it between its activities. */
export interface Build {
  buildId: string;
  status: "active" | "published" | "failed" | "abandoned";
  epoch: string;
  isComplete: boolean;
  /** Whether it computes what has changed while it publishes. */
  isIncremental: boolean;
  settings: SettingValues;
  result: unknown;
  /** What it computes, by relation. */
  relations: Map<string, BuildRelation>;
}

export interface BuildRelation {
  relation: string;
  definitionHash: string;
  isComputed: boolean;
  rowCount: number | null;
  inputVersions: Record<string, number>;
}

/** Values of the settings that rows can depend on, compared as text. */
export interface SettingValues {
  as_of: string;
  currency: string;
  time_zone: string;
  identity: string;
}

/** One lock that whoever writes published tables takes before anything else, so before it has a transaction id. */
export async function lockPublishing(client: ClientBase): Promise<void> {
  await client.query("select pg_advisory_xact_lock(hashtext('miette publish'))");
}

/**
 * Runs `work` in one transaction that holds the publish lock. The lock is taken before the transaction has its snapshot,
 * which is one for all of it (repeatable read), so that `work` sees what the last holder published.
 */
export async function holdingPublishLock<T>(pool: Pool, work: (client: ClientBase) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let isBroken = false;
  try {
    await client.query("select pg_advisory_lock(hashtext('miette publish'))");
    await client.query("begin isolation level repeatable read");
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback").catch(() => (isBroken = true));
    throw error;
  } finally {
    await client.query("select pg_advisory_unlock(hashtext('miette publish'))").catch(() => (isBroken = true));
    client.release(isBroken);
  }
}

/** Reads a build; throws a CodedError where another has taken its place. */
export async function readActiveBuild(client: ClientBase, graph: Graph, buildId: string): Promise<Build> {
  const build = await readBuild(client, buildId);
  if (build?.status !== "active") throw superseded();
  for (const { relation, definitionHash } of build.relations.values()) {
    if (graph.makers.get(relation)?.hash !== definitionHash.split(":")[0]) {
      throw new CodedError("build_superseded", `${relation} was edited during the build; build again.`, {
        retryable: false,
      });
    }
  }
  return build;
}

export async function readBuild(client: ClientBase, buildId: string): Promise<Build | null> {
  const { rows } = await client.query(
    `select build_id as "buildId", status, epoch, is_complete as "isComplete", is_incremental as "isIncremental", settings, result from ops.builds where build_id = $1`,
    [buildId],
  );
  if (!rows[0]) return null;
  const relations = await client.query(
    `select relation, definition_hash as "definitionHash", computed_at is not null as "isComputed",
       row_count::float8 as "rowCount", coalesce(input_versions, '{}') as "inputVersions"
     from ops.build_relations where build_id = $1 order by relation`,
    [buildId],
  );
  return { ...rows[0], relations: new Map(relations.rows.map((row: BuildRelation) => [row.relation, row])) };
}

/**
 * The last statement of everything that adds to a build: what was computed counts only if the build is still the one
 * under way. A build that began in between waits for this transaction's end and then finds, and drops, its tables.
 */
export async function confirmActive(client: ClientBase, buildId: string): Promise<void> {
  try {
    const { rows } = await client.query("select status from ops.builds where build_id = $1 for share", [buildId]);
    if (rows[0]?.status === "active") return;
  } catch (error) {
    // A repeatable-read transaction meets a row that has changed since its snapshot.
    if ((error as { code?: string }).code !== "40001") throw error;
  }
  throw superseded();
}

function superseded(): CodedError {
  return new CodedError("build_superseded", "another build has begun since; this one ends.", { retryable: false });
}

/** Drops whatever a build left in the build schemas. */
export async function dropBuildRelations(client: ClientBase): Promise<void> {
  const shapes = await readShapes(client, BUILD_SCHEMAS);
  for (const kind of ["view", "table"] as const) {
    const names = [...shapes].filter(([, shape]) => shape.kind === kind).map(([name]) => quoteRelation(name));
    if (names.length) await client.query(`drop ${kind} if exists ${names.join(", ")} cascade`);
  }
}

/** `"core"."orders"` of `core.orders`. A table that somebody else has made may have further dots in its name. */
export function quoteRelation(relation: string): string {
  const dot = relation.indexOf(".");
  return quoteName(relation.slice(0, dot), relation.slice(dot + 1));
}

/** Where this build reads a relation from: its own build schema if it computes the relation, else the published one. */
export function inputName(build: Build, relation: string): string {
  return build.relations.has(relation) ? buildName(relation) : relation;
}

/** The versions of the inputs that are read as published, or as landed; 0 for one that has none yet. */
export async function readVersions(
  client: ClientBase,
  graph: Graph,
  build: Build,
  step: Step,
): Promise<Record<string, number>> {
  const inputs = step.inputs.filter((input) => !build.relations.has(input));
  const { rows } = await client.query<{ relation: string; version: number }>(
    "select relation, version::float8 as version from ops.relation_state where relation = any ($1)",
    [inputs.map((input) => versionedBy(graph, input))],
  );
  const versions = new Map(rows.map((row) => [row.relation, row.version]));
  return Object.fromEntries(inputs.map((input) => [input, versions.get(versionedBy(graph, input)) ?? 0]));
}

/** The relation under whose name the version of an input is kept. */
export function versionedBy(graph: Graph, input: string): string {
  return graph.raw.get(input)?.changesWith ?? input;
}

/** Runs `work` while no other attempt at the same thing runs, whether in this process or left over from a dead one. */
export async function withAttemptLock<T>(
  pool: Pool,
  buildId: string,
  what: string,
  work: (client: ClientBase) => Promise<T>,
): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw statementError(error, { file: what });
  });
  const key = createHash("sha256").update(`${buildId} ${what}`).digest().readBigInt64BE().toString();
  let broken = false;
  try {
    // Taken before the transaction, whose snapshot then sees what the other attempt has committed.
    await client.query("select pg_advisory_lock($1)", [key]);
    return await work(client);
  } catch (error) {
    broken = true;
    throw statementError(error, { file: what });
  } finally {
    if (!broken) await client.query("select pg_advisory_unlock($1)", [key]).catch(() => (broken = true));
    // After an error the connection may hold the lock or a transaction: closing it frees both.
    client.release(broken);
  }
}
