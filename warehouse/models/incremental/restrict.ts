import type { SelectStmt } from "libpg-query";
import { quoteName } from "../../database.ts";
import { quoteRelation } from "../build.ts";
import type { Reading } from "../select.ts";
import type { Statement } from "../syntax.ts";

/**
 * The statement's text with some of the relations that it reads cut down to the rows that a condition lets through:
 * `core.orders as orders` becomes `(select * from core.orders where …) as orders`.
 * @param conditionOf the condition on a relation's columns, without alias; null leaves it as it stands
 */
export function restrict(
  { bytes }: Statement,
  readings: readonly Reading[],
  conditionOf: (relation: string) => string | null,
): string {
  const parts: Buffer[] = [];
  let end = 0;
  for (const { relation, location, hasAlias } of readings.toSorted((a, b) => a.location - b.location)) {
    const condition = conditionOf(relation);
    if (condition === null || location < end) continue;
    const written = WRITTEN.exec(bytes.toString("utf8", location, location + 300))![0];
    const alias = hasAlias ? "" : ` as ${quoteName(relation.split(".")[1]!)}`;
    const text = `(select * from ${quoteRelation(relation)} as restricted where ${condition})${alias}`;
    parts.push(bytes.subarray(end, location), Buffer.from(text));
    end = location + Buffer.byteLength(written);
  }
  return Buffer.concat([...parts, bytes.subarray(end)]).toString("utf8");
}

const WRITTEN = /^(?:"(?:[^"]|"")*"|[a-z0-9_]+)\s*\.\s*(?:"(?:[^"]|"")*"|[a-z0-9_]+)/i;

type Tree = Record<string, any>;

/**
 * Whether a select is one join of relations, with a condition at most: then a condition on its result reaches every
 * relation that it reads, and several conditions can be tried one after the other.
 */
export function isPlainJoin(select: SelectStmt): boolean {
  const tree = select as Tree;
  const isGrouped = ["groupClause", "havingClause", "distinctClause", "windowClause", "limitCount", "limitOffset"];
  if (tree["withClause"] || tree["larg"] || tree["valuesLists"] || isGrouped.some((clause) => tree[clause]))
    return false;
  return (select.fromClause ?? []).every(isPlainRange) && !hasWindow(select.targetList);
}

function isPlainRange(item: Tree): boolean {
  const join = item["JoinExpr"];
  if (join) return isPlainRange(join.larg) && isPlainRange(join.rarg);
  return item["RangeVar"]?.schemaname !== undefined;
}

/** Whether a window function stands in an expression. */
export function hasWindow(node: unknown): boolean {
  let isFound = false;
  JSON.stringify(node, (key, value: unknown) => {
    if (key === "over") isFound = true;
    return value;
  });
  return isFound;
}
