import type { ClientBase } from "pg";
import { CodedError } from "../../domain/errors.ts";
import { tokensMove } from "../epoch.ts";
import { dropBuildRelations, quoteRelation, type Build } from "./build.ts";
import { buildName, type Shape } from "./catalog.ts";
import type { Graph } from "./graph.ts";
import type { PublishResult } from "./publish-result.ts";

/** Another writer of published tables may have changed what the models read; their rows would undo its work. */
export async function checkInputVersions(client: ClientBase, graph: Graph, build: Build): Promise<void> {
  const { rows } = await client.query<{ relation: string; version: number }>(
    "select relation, version::float8 as version from ops.relation_state",
  );
  const versions = new Map(rows.map((row) => [row.relation, row.version]));
  for (const { relation, isComputed, inputVersions } of build.relations.values()) {
    if (!isComputed) throw new CodedError("internal", `${relation} was not computed.`, { retryable: false });
    for (const [input, version] of Object.entries(inputVersions)) {
      // What has landed since is read by the next build.
      if (!graph.makers.has(input) || (versions.get(input) ?? 0) === version) continue;
      const message = `${input} was changed during the build; build again.`;
      throw new CodedError("epoch_conflict", message, { retryable: false });
    }
  }
}

/** A build table that lost rows, for whatever reason, must not empty the mart. */
export async function checkCounts(client: ClientBase, build: Build, built: ReadonlyMap<string, Shape>): Promise<void> {
  for (const { relation, rowCount } of build.relations.values()) {
    const kind = built.get(buildName(relation))?.kind;
    if (kind === "view" && rowCount === null) continue;
    if (kind === "table") {
      const { rows } = await client.query<{ count: number }>(
        `select count(*)::float8 as count from ${quoteRelation(buildName(relation))}`,
      );
      if (rows[0]!.count === rowCount) continue;
    }
    const message = `${relation} no longer holds the rows that were computed; build again.`;
    throw new CodedError("internal", message, { retryable: false });
  }
}

/** The last statement: an erasure that began after the build must not find its person written again. */
async function confirmEpoch(client: ClientBase, build: Build): Promise<void> {
  const { rows } = await client.query<{ epoch: string; isMoving: boolean }>(
    `select epoch, moving_xid is not null as "isMoving" from privacy.epoch for share`,
  );
  if (rows[0]?.isMoving) throw tokensMove();
  if (rows[0]?.epoch === build.epoch) return;
  throw new CodedError("epoch_conflict", "a person was erased during the build; build again.", { retryable: false });
}

/** The end of every publish: the build is told as published, with what came of it, and what it has computed goes. */
export async function finishPublish(client: ClientBase, build: Build, result: PublishResult): Promise<PublishResult> {
  await client.query(
    "update ops.builds set status = 'published', finished_at = clock_timestamp(), result = $2 where build_id = $1",
    [build.buildId, JSON.stringify(result)],
  );
  await dropBuildRelations(client);
  await confirmEpoch(client, build);
  return result;
}
