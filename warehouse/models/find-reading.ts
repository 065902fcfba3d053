import type { Statement } from "./syntax.ts";

type Tree = Record<string, any>;

/**
 * Where a select first reads a column of a relation, anywhere in it: by name, by a `*`, as a whole row, or joined by
 * `using`. A byte offset; null where it does not. A bare name counts where the relation is in any from clause, since the
 * parse tree does not tell whose it is.
 */
export function findReading(statement: Statement, relation: string, column: string): number | null {
  const aliases = aliasesOf(statement, relation);
  if (aliases.size === 0) return null;
  let found: number | null = null;
  const note = (location: number | undefined): void => {
    const at = location ?? 0;
    if (found === null || at < found) found = at;
  };
  const visit = (node: unknown, isOver: boolean): void => {
    if (Array.isArray(node)) for (const item of node) visit(item, isOver);
    else if (node && typeof node === "object") {
      for (const [kind, value] of Object.entries(node as Tree)) {
        if (kind === "SelectStmt")
          visit(
            value,
            ((value.fromClause ?? []) as Tree[]).some((item) => holds(item, relation)),
          );
        else if (kind === "ColumnRef") {
          const path = (value.fields as Tree[]).map((field) => field["String"]?.sval as string | undefined);
          if (isReading(path, aliases, column, isOver)) note(value.location);
        } else if (kind === "JoinExpr") {
          const names = ((value.usingClause ?? []) as Tree[]).map((name) => name["String"]?.sval as string);
          if (names.includes(column) || (value.isNatural && isOver)) note(firstLocation(value));
          visit(value, isOver);
        } else if (kind === "RangeVar" && value.alias?.colnames && isNamed(value, relation)) {
          // Columns renamed by their places: any of the new names may be this one.
          note(value.location);
        } else visit(value, isOver);
      }
    }
  };
  visit({ SelectStmt: statement.select }, false);
  return found;
}

function isReading(
  path: (string | undefined)[],
  aliases: ReadonlySet<string>,
  column: string,
  isOver: boolean,
): boolean {
  const last = path.at(-1);
  if (path.length === 1) return last === undefined ? isOver : last === column || aliases.has(last);
  return (last === undefined || last === column) && aliases.has(path.at(-2) ?? "");
}

/** The names by which the relation's columns may be called. */
function aliasesOf(statement: Statement, relation: string): ReadonlySet<string> {
  const aliases = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    else if (node && typeof node === "object") {
      for (const [kind, value] of Object.entries(node as Tree)) {
        if (kind === "RangeVar" && isNamed(value, relation)) {
          aliases.add(value.alias?.aliasname ?? value.relname);
        }
        visit(value);
      }
    }
  };
  visit(statement.select);
  return aliases;
}

/** Whether a part of a from clause is the relation, subselects aside. */
function holds(item: Tree, relation: string): boolean {
  const join = item["JoinExpr"];
  if (join) return holds(join.larg, relation) || holds(join.rarg, relation);
  const range = item["RangeVar"];
  return range !== undefined && isNamed(range, relation);
}

function isNamed(range: Tree, relation: string): boolean {
  return `${range["schemaname"]}.${range["relname"]}` === relation;
}

function firstLocation(node: unknown): number | undefined {
  if (Array.isArray(node)) return firstLocation(node[0]);
  if (!node || typeof node !== "object") return undefined;
  const { location } = node as { location?: number };
  if (location !== undefined) return location;
  for (const value of Object.values(node)) {
    const inner = firstLocation(value);
    if (inner !== undefined) return inner;
  }
  return undefined;
}
