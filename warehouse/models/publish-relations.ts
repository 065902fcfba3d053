import pg, { type ClientBase } from "pg";
import { quoteRelation, type Build } from "./build.ts";
import { buildName, MODEL_SCHEMAS, readShapes, type Shape } from "./catalog.ts";
import type { Graph } from "./graph.ts";
import { indexedColumns } from "./indexed-columns.ts";
import { applyDifferences, insertAll, sameKey, type RowChanges } from "./publish-rows.ts";
import {
  adoptTable,
  alignComments,
  alignForeignKeys,
  alignIndexes,
  alterTable,
  compareShapes,
  createView,
  finishShape,
  viewsOver,
  type ShapeChange,
} from "./publish-shape.ts";
import type { RelationSpec } from "./relation.ts";
import { redirect } from "./rewrite.ts";
import { statementError } from "./sql-errors.ts";

/** A shape changes only under a lock that keeps readers waiting; they are asked to wait no longer than this. */
const LOCK_TIMEOUT = "1500ms";

/** What a publish starts from, and what it has decided to change of it. */
export interface Publication {
  graph: Graph;
  build: Build;
  /** The relations of the build, in building order. */
  specs: RelationSpec[];
  built: ReadonlyMap<string, Shape>;
  published: ReadonlyMap<string, Shape>;
  /** The definition under which each relation was published last. */
  hashes: ReadonlyMap<string, string>;
  /** Tables that stay, with another shape. */
  changes: ReadonlyMap<string, ShapeChange>;
  /** Relations whose model is gone. */
  removed: string[];
}

/** Compares what is built with what is published. */
export function preparePublication(start: Omit<Publication, "specs" | "changes" | "removed">): Publication {
  const { graph, build, built, published, hashes } = start;
  const specs = [...graph.specs.values()].filter((spec) => build.relations.has(spec.name));
  const changes = new Map<string, ShapeChange>();
  for (const spec of specs) {
    const before = published.get(spec.name);
    if (spec.materialize === "view" || before?.kind !== "table") continue;
    const change = compareShapes(spec, before, built.get(buildName(spec.name))!);
    if (change) changes.set(spec.name, change);
  }
  const isGone = (relation: string) => published.has(relation) && !graph.specs.has(relation);
  const removed = build.isComplete ? [...hashes.keys()].filter(isGone).sort() : [];
  return { ...start, specs, changes, removed };
}

/**
 * Takes every lock that keeps readers waiting, at once and for a bounded time, and drops the views that stand in the way
 * of new shapes. Returns the relations that it dropped and that are to come again.
 */
export async function takeApart(client: ClientBase, publication: Publication): Promise<Set<string>> {
  const { build, published, hashes, changes, removed } = publication;
  const isReplaced = (spec: RelationSpec) => {
    const before = published.get(spec.name);
    const kind = spec.materialize === "view" ? "view" : "table";
    if (before?.kind !== kind) return before !== undefined;
    return kind === "view" && hashes.get(spec.name) !== build.relations.get(spec.name)!.definitionHash;
  };
  const replaced = publication.specs.filter(isReplaced).map((spec) => spec.name);
  const touched = [...replaced, ...removed, ...changes.keys()];
  if (!touched.length) return new Set();
  const isTable = (relation: string) => published.get(relation)!.kind === "table";
  await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
  const views = new Set([...touched.filter((name) => !isTable(name)), ...(await viewsOver(client, touched))]);
  for (const table of touched.filter(isTable).sort()) {
    await client.query(`lock table ${quoteRelation(table)} in access exclusive mode`);
  }
  if (views.size) await client.query(`drop view ${[...views].map(quoteRelation).join(", ")}`);
  // A table that becomes a view: foreign keys that pointed at it were refused when the graph was read.
  const turned = replaced.filter(isTable);
  if (turned.length) await client.query(`drop table ${turned.map(quoteRelation).join(", ")} cascade`);
  await client.query("set local lock_timeout = 0");
  return new Set([...views, ...turned]);
}

/** Brings every built table's rows, with their keys and foreign keys, into its published table. */
export async function putTables(
  client: ClientBase,
  publication: Publication,
  gone: ReadonlySet<string>,
): Promise<Map<string, RowChanges>> {
  const { graph, build, built, published, hashes } = publication;
  const changes = [...publication.changes].map(([relation, change]) => ({ spec: graph.specs.get(relation)!, change }));
  for (const { spec, change } of changes) await alterTable(client, spec, published.get(spec.name)!, change);
  const rows = new Map<string, RowChanges>();
  for (const spec of publication.specs) {
    if (spec.materialize === "view") continue;
    const isNew = gone.has(spec.name) || !published.has(spec.name);
    rows.set(spec.name, await aboutRows(graph, spec, () => fillTable(client, publication, spec, isNew)));
  }
  // Before anything is altered again, which a table whose foreign keys are still to be checked can't be.
  await client.query("set constraints all immediate");
  for (const { spec, change } of changes) {
    await aboutRows(graph, spec, () => finishShape(client, spec, built.get(buildName(spec.name))!, change));
  }
  for (const spec of publication.specs) {
    if (spec.materialize !== "view") await alignIndexes(client, spec.name, indexedColumns(graph, spec));
  }
  // A relation that was edited but not selected keeps the foreign keys it has.
  const isCurrent = ({ name }: RelationSpec) => {
    const hash = build.relations.get(name)?.definitionHash ?? hashes.get(name);
    return hash?.split(":")[0] === graph.makers.get(name)!.hash;
  };
  const tables = [...graph.specs.values()].filter((spec) => spec.materialize !== "view" && isCurrent(spec));
  await alignForeignKeys(client, tables, await readShapes(client, MODEL_SCHEMAS), (name) => graph.specs.get(name)!.key);
  return rows;
}

async function fillTable(
  client: ClientBase,
  { build, built, changes }: Publication,
  spec: RelationSpec,
  isNew: boolean,
): Promise<RowChanges> {
  const shape = built.get(buildName(spec.name))!;
  if (isNew) {
    await adoptTable(client, spec);
    return { inserted: build.relations.get(spec.name)!.rowCount!, updated: 0, deleted: 0 };
  }
  return changes.get(spec.name)?.isKeyChanged
    ? await insertAll(client, spec, shape)
    : await applyDifferences(client, spec, shape, build.relations.get(spec.name)!.rowCount!);
}

/** Tells an error of a relation's rows with the file that computes them. */
export async function aboutRows<T>(graph: Graph, spec: RelationSpec, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as { code?: string };
    // 21000: MERGE meets a row of the same key twice.
    if (code === "23505" || code === "21000") throw sameKey(spec);
    throw code === "40P01" ? error : statementError(error, { file: graph.makers.get(spec.name)!.file });
  }
}

/** Makes the views that are new, edited, or went with a shape that they read. Returns their names. */
export async function putViews(
  client: ClientBase,
  { graph, build, published }: Publication,
  gone: ReadonlySet<string>,
): Promise<Set<string>> {
  const made = new Set<string>();
  for (const step of graph.steps) {
    if (step.kind !== "sql" || step.model.spec.materialize !== "view") continue;
    const isNew = build.relations.has(step.name) && !published.has(step.name);
    if (!isNew && !gone.has(step.name)) continue;
    try {
      await createView(
        client,
        step.model.spec,
        redirect(step.model.statement, [], () => null),
      );
    } catch (error) {
      throw statementError(error, { file: step.file });
    }
    made.add(step.name);
  }
  return made;
}

/** Drops the tables whose models are gone; their views went before. Then describes what was published. */
export async function finishRelations(
  client: ClientBase,
  { graph, build, published, removed }: Publication,
  views: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Shape>> {
  const tables = removed.filter((relation) => published.get(relation)!.kind === "table");
  if (tables.length) await client.query(`drop table ${tables.map(quoteRelation).join(", ")}`);
  const shapes = await readShapes(client, MODEL_SCHEMAS);
  for (const spec of graph.specs.values()) {
    const shape = shapes.get(spec.name);
    if (!shape || !(build.relations.has(spec.name) || views.has(spec.name))) continue;
    await alignComments(client, spec, shape, (text) => pg.escapeLiteral(text));
  }
  return shapes;
}
