import type { SelectStmt } from "libpg-query";

export interface ColumnSource {
  relation: string;
  column: string;
}

/** A column that a select returns, and the columns of other relations that its value is made of. */
export interface OutputColumn {
  name: string;
  sources: ColumnSource[];
  /** Whether the value is passed on as it stands, by each part of a union from a source of its own. */
  isCopy: boolean;
  /** False where a part of it could not be traced. */
  isResolved: boolean;
}

export interface Output {
  columns: OutputColumn[];
  /** False where a `*` stands for columns that are not known. */
  isComplete: boolean;
}

interface Range extends Output {
  alias: string;
  /** Set where the range is a relation of the graph or of raw. */
  relation?: string;
}

type Tree = Record<string, any>;
type Known = (relation: string) => readonly string[] | null;

interface Names {
  ctes: ReadonlyMap<string, Output>;
  /** Innermost select first. */
  scopes: readonly (readonly Range[])[];
}

/**
 * The columns that a select returns with their sources, as far as the parse tree tells.
 * @param known names of a relation's columns, or null where they are not known
 */
export function outputColumns(select: SelectStmt, known: Known): Output {
  return outputOf(select, known, { ctes: new Map(), scopes: [] });
}

function outputOf(select: SelectStmt, known: Known, outer: Names): Output {
  const ctes = new Map(outer.ctes);
  for (const { CommonTableExpr: cte } of (select.withClause?.ctes ?? []) as Tree[]) {
    // A recursive part refers to itself: its first branch names the columns.
    const query = cte.ctequery.SelectStmt as SelectStmt;
    if (select.withClause?.recursive && query.larg)
      ctes.set(cte.ctename, outputOf(query.larg, known, { ...outer, ctes }));
    ctes.set(cte.ctename, rename(outputOf(query, known, { ...outer, ctes }), cte.aliascolnames));
  }
  const names = { ...outer, ctes };
  if (select.larg && select.rarg)
    return union(outputOf(select.larg, known, names), outputOf(select.rarg, known, names));
  const ranges = (select.fromClause ?? []).flatMap((item) => rangesOf(item as Tree, known, names));
  const inside = { ctes, scopes: [ranges, ...outer.scopes] };
  const output: Output = { columns: [], isComplete: true };
  const [firstRow] = (select.valuesLists ?? []) as Tree[];
  for (const [index, value] of ((firstRow?.["List"].items ?? []) as Tree[]).entries()) {
    output.columns.push({ ...trace(value, known, inside), name: `column${index + 1}` });
  }
  for (const { ResTarget: target } of (select.targetList ?? []) as Tree[]) {
    const fields = target.val?.ColumnRef?.fields as Tree[] | undefined;
    if (fields?.at(-1)?.["A_Star"]) {
      const alias = fields.length > 1 ? fields.at(-2)!["String"].sval : null;
      const starred = ranges.filter((range) => alias === null || range.alias === alias);
      for (const range of starred) {
        output.columns.push(...range.columns);
        output.isComplete &&= range.isComplete;
      }
      if (!starred.length) output.isComplete = false;
    } else output.columns.push({ ...trace(target.val, known, inside), name: target.name ?? nameOf(target.val) });
  }
  return output;
}

function rangesOf(item: Tree, known: Known, names: Names): Range[] {
  const join = item["JoinExpr"];
  if (join) return [...rangesOf(join.larg, known, names), ...rangesOf(join.rarg, known, names)];
  const range = Object.values(item)[0] as Tree;
  const alias: string = range["alias"]?.aliasname ?? range["relname"] ?? "";
  const colnames = range["alias"]?.colnames;
  if (item["RangeSubselect"])
    return [{ alias, ...rename(outputOf(range["subquery"].SelectStmt, known, names), colnames) }];
  if (!item["RangeVar"]) return [{ alias, columns: [], isComplete: false }];
  const cte = range["schemaname"] ? undefined : names.ctes.get(range["relname"]);
  if (cte) return [{ alias, ...rename(cte, colnames) }];
  const relation = `${range["schemaname"]}.${range["relname"]}`;
  const columns = known(relation);
  const own = (columns ?? []).map((column) => copyOf(relation, column));
  return [{ alias, relation, ...rename({ columns: own, isComplete: columns !== null }, colnames) }];
}

/** What an expression's value is made of. */
function trace(expression: unknown, known: Known, names: Names): Omit<OutputColumn, "name"> {
  const single = (expression as Tree | undefined)?.["ColumnRef"];
  if (single) return resolve(single, names);
  const sources = new Map<string, ColumnSource>();
  let isResolved = true;
  const add = (part: Omit<OutputColumn, "name">) => {
    for (const source of part.sources) sources.set(`${source.relation}.${source.column}`, source);
    isResolved &&= part.isResolved;
  };
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    else if (node && typeof node === "object") {
      for (const [kind, value] of Object.entries(node)) {
        if (kind === "ColumnRef") add(resolve(value, names));
        else if (kind === "SelectStmt") {
          const output = outputOf(value, known, names);
          output.columns.forEach(add);
          isResolved &&= output.isComplete;
        } else visit(value);
      }
    }
  };
  visit(expression);
  return { sources: [...sources.values()], isCopy: false, isResolved };
}

function resolve({ fields }: Tree, { scopes }: Names): Omit<OutputColumn, "name"> {
  const path = (fields as Tree[]).map((field) => field["String"]?.sval ?? "*");
  const unresolved = { sources: [], isCopy: false, isResolved: false };
  const column = path.at(-1)!;
  if (path.length > 2 || column === "*") return unresolved;
  for (const ranges of scopes) {
    const candidates = path.length === 2 ? ranges.filter((range) => range.alias === path[0]) : ranges;
    const found = candidates.flatMap((range) => range.columns.find((other) => other.name === column) ?? []);
    // Several: the column is joined by `using`, and equal on both sides.
    if (found[0]) return found[0];
    const open = candidates.filter((range) => !range.isComplete);
    if (open.length === 1 && open[0]!.relation) return copyOf(open[0]!.relation, column);
    if (open.length || (path.length === 2 && candidates.length)) return unresolved;
  }
  return unresolved;
}

function copyOf(relation: string, column: string): OutputColumn {
  return { name: column, sources: [{ relation, column }], isCopy: true, isResolved: true };
}

function rename(output: Output, colnames: Tree[] | undefined): Output {
  if (!colnames) return output;
  const columns = output.columns.map((column, i) => ({ ...column, name: colnames[i]?.["String"].sval ?? column.name }));
  return { ...output, columns };
}

function union(left: Output, right: Output): Output {
  const columns = left.columns.map((column, i) => {
    const other = right.columns[i];
    const isResolved = column.isResolved && (other?.isResolved ?? false);
    const isCopy = column.isCopy && (other?.isCopy ?? false);
    return { ...column, sources: [...column.sources, ...(other?.sources ?? [])], isCopy, isResolved };
  });
  return { columns, isComplete: left.isComplete && right.isComplete };
}

/** The name that Postgres gives a column without `as`; `?column?` where it has none to give, or an unexpected one. */
function nameOf(value: Tree | undefined): string {
  const [kind, node] = Object.entries(value ?? {})[0] as [string, Tree];
  const last = (list: Tree[] | undefined) =>
    list?.findLast((item) => item["String"])?.["String"].sval as string | undefined;
  switch (kind) {
    case "ColumnRef":
      return last(node["fields"]) ?? "?column?";
    case "FuncCall":
      return last(node["funcname"])!;
    case "A_Indirection":
      return last(node["indirection"]) ?? nameOf(node["arg"]);
    case "CollateClause":
      return nameOf(node["arg"]);
    case "TypeCast": {
      const inner = nameOf(node["arg"]);
      return inner === "?column?" ? last(node["typeName"].names)! : inner;
    }
    case "CaseExpr": {
      const inner = node["defresult"] ? nameOf(node["defresult"]) : "?column?";
      return inner === "?column?" ? "case" : inner;
    }
    case "CoalesceExpr":
      return "coalesce";
    default:
      return "?column?";
  }
}
