import type { ClientBase } from "pg";
import { quoteRelation } from "./build.ts";
import { BUILD_SCHEMAS, buildName, readShapes } from "./catalog.ts";
import type { Graph } from "./graph.ts";
import { indexedColumns } from "./indexed-columns.ts";
import { sameKey } from "./publish-rows.ts";
import { addForeignKey, addKey, alignIndexes } from "./publish-shape.ts";
import type { RelationSpec } from "./relation.ts";
import { statementError } from "./sql-errors.ts";
import type { Step } from "./steps.ts";

/**
 * A table that is not published yet gets its keys and indexes here, while other models are computed beside it, and is
 * then moved to where it is published. Its foreign keys too, where the table that they point at is computed and new.
 * @param outputs tables among the step's outputs
 */
export async function keyNewTables(
  client: ClientBase,
  graph: Graph,
  step: Step,
  outputs: readonly RelationSpec[],
): Promise<void> {
  const concerned = outputs.flatMap((spec) => [spec.name, ...spec.foreignKeys.map((key) => key.references)]);
  const published = await readShapes(client, ["core", "mart"], concerned);
  const isNew = (relation: string) => published.get(relation)?.kind !== "table";
  const specs = outputs.filter((spec) => isNew(spec.name));
  if (!specs.length) return;
  const built = await readShapes(client, BUILD_SCHEMAS, concerned.map(buildName));
  for (const spec of specs) {
    const table = buildName(spec.name);
    try {
      await client.query(`alter table ${quoteRelation(table)} ${addKey(spec, built.get(table)!)}`);
    } catch (error) {
      throw (error as { code?: string }).code === "23505" ? sameKey(spec) : statementError(error, { file: step.file });
    }
    await alignIndexes(client, table, indexedColumns(graph, spec));
  }
  // In the order of the names: each holds the table that it points at until the transaction ends.
  const keys = specs
    .flatMap((spec) => spec.foreignKeys.map((key) => ({ spec, key })))
    .filter(({ key }) => isNew(key.references) && built.get(buildName(key.references))?.keyName)
    .toSorted((a, b) => (a.key.references < b.key.references ? -1 : 1));
  for (const { spec, key } of keys) {
    const target = graph.specs.get(key.references)!;
    const sql = addForeignKey(buildName(spec.name), key.columns, buildName(target.name), target.key);
    await client.query(sql).catch((error: unknown) => {
      throw statementError(error, { file: step.file });
    });
  }
}
