import type { ClientBase } from "pg";
import { versionedBy, type Build } from "./build.ts";
import type { Graph } from "./graph.ts";
import type { RowChanges } from "./publish-rows.ts";
import type { CheckResult } from "./run-checks.ts";
import { readStates } from "./work.ts";

/** The definition under which each relation was published last. */
export async function readStateHashes(client: ClientBase): Promise<Map<string, string>> {
  const { rows } = await client.query<{ relation: string; hash: string }>(
    "select relation, definition_hash as hash from ops.relation_state where definition_hash is not null",
  );
  return new Map(rows.map((row) => [row.relation, row.hash]));
}

/**
 * Moves the version of each relation whose rows or shape really changed, and records what the published rows were
 * computed from, so that the next plan can tell what has work.
 * @returns the version of every relation
 */
export async function recordStates(
  client: ClientBase,
  graph: Graph,
  build: Build,
  published: { rows: ReadonlyMap<string, RowChanges>; reshaped: ReadonlySet<string>; removed: string[] },
): Promise<Map<string, number>> {
  const states = await readStates(client);
  const versions = new Map([...states].map(([relation, { version }]) => [relation, version]));
  const records = [];
  for (const step of graph.steps) {
    for (const spec of step.outputs) {
      const computed = build.relations.get(spec.name);
      if (!computed) continue;
      // Inputs of this build come before in the steps' order, so their versions are those just published.
      const inputs = Object.fromEntries(
        step.inputs.map((input) => [
          input,
          computed.inputVersions[input] ?? versions.get(versionedBy(graph, input)) ?? 0,
        ]),
      );
      const settings = Object.fromEntries(step.settings.map((name) => [name, build.settings[name]]));
      const counts = published.rows.get(spec.name);
      const state = states.get(spec.name);
      // A view's rows change with what it reads.
      const isChanged = counts
        ? counts.inserted + counts.updated + counts.deleted > 0
        : !isSame(inputs, state?.inputVersions) || !isSame(settings, state?.settings);
      const version = (state?.version ?? 0) + (isChanged || published.reshaped.has(spec.name) ? 1 : 0);
      versions.set(spec.name, version);
      records.push({
        relation: spec.name,
        version,
        kind: spec.materialize === "view" ? "view" : "table",
        definition_hash: computed.definitionHash,
        input_versions: inputs,
        settings,
        row_count: computed.rowCount ?? (counts ? (state?.rowCount ?? 0) + counts.inserted - counts.deleted : null),
        ...(counts ?? { inserted: 0, updated: 0, deleted: 0 }),
      });
    }
  }
  await client.query(
    `insert into ops.relation_state (relation, version, kind, definition_hash, input_versions, settings, row_count,
       published_at, horizon, cluster)
     select r.relation, r.version, r.kind, r.definition_hash, r.input_versions, r.settings, r.row_count, now(), b.horizon,
       (select system_identifier::text from pg_control_system())
     from json_populate_recordset(null::ops.relation_state, $1) as r
     join ops.build_relations as b on b.relation = r.relation and b.build_id = $2
     on conflict (relation) do update set version = excluded.version, kind = excluded.kind,
       definition_hash = excluded.definition_hash, input_versions = excluded.input_versions,
       settings = excluded.settings, row_count = excluded.row_count, published_at = excluded.published_at,
       horizon = excluded.horizon, cluster = excluded.cluster`,
    [JSON.stringify(records), build.buildId],
  );
  await client.query(
    `update ops.build_relations as b set inserted = r.inserted, updated = r.updated, deleted = r.deleted
     from json_to_recordset($2) as r (relation text, inserted bigint, updated bigint, deleted bigint)
     where b.build_id = $1 and b.relation = r.relation`,
    [build.buildId, JSON.stringify(records)],
  );
  await client.query("delete from ops.relation_state where relation = any ($1)", [published.removed]);
  return versions;
}

/** The results of the checks of the last build that published, by name. */
export async function readLastChecks(client: ClientBase): Promise<Map<string, CheckResult>> {
  const { rows } = await client.query<{ checks: CheckResult[] | null }>(
    "select result -> 'checks' as checks from ops.builds where status = 'published' order by finished_at desc limit 1",
  );
  return new Map((rows[0]?.checks ?? []).map((check) => [check.name, check]));
}

function isSame(now: Record<string, unknown>, before: object | null | undefined): boolean {
  const entries = Object.entries(before ?? {});
  return entries.length === Object.keys(now).length && entries.every(([name, value]) => now[name] === value);
}
