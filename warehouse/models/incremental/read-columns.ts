import type { Statement } from "../syntax.ts";

type Tree = Record<string, any>;

/**
 * Every name that stands for a column anywhere in a select: a column of an input that is not among them is not read.
 * Null where a `*` over an input, or an input's whole row, may read any.
 */
export function namesRead(statement: Statement): ReadonlySet<string> | null {
  const names = new Set<string>();
  const inputs = new Set<string>();
  let readsAny = false;
  const visit = (node: unknown, isOverInput: boolean): void => {
    if (Array.isArray(node)) for (const item of node) visit(item, isOverInput);
    else if (node && typeof node === "object") {
      for (const [kind, value] of Object.entries(node as Tree)) {
        if (kind === "SelectStmt") visit(value, (value.fromClause ?? []).some(holdsInput));
        else if (kind === "ColumnRef") {
          const path = (value.fields as Tree[]).map((field) => field["String"]?.sval as string | undefined);
          const name = path.at(-1);
          if (name !== undefined) names.add(name);
          else if (path.length === 1) readsAny ||= isOverInput;
        } else if (kind === "usingClause") for (const name of value as Tree[]) names.add(name["String"].sval);
        else {
          if (kind === "RangeVar" && value.schemaname) inputs.add(value.alias?.aliasname ?? value.relname);
          visit(value, isOverInput);
        }
      }
    }
  };
  visit({ SelectStmt: statement.select }, false);
  return readsAny || [...inputs].some((input) => isWholeRow(statement, input)) ? null : names;
}

function holdsInput(item: Tree): boolean {
  const join = item["JoinExpr"];
  if (join) return holdsInput(join.larg) || holdsInput(join.rarg);
  return item["RangeVar"]?.schemaname !== undefined;
}

/** Whether `input` or `input.*` stands for a whole row somewhere. */
function isWholeRow(statement: Statement, input: string): boolean {
  let isFound = false;
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    else if (node && typeof node === "object") {
      for (const [kind, value] of Object.entries(node as Tree)) {
        const fields = kind === "ColumnRef" ? (value.fields as Tree[]) : [];
        const isLast = fields.length === 1 || fields[1]?.["A_Star"] !== undefined;
        if (isLast && fields[0]?.["String"]?.sval === input) isFound = true;
        visit(value);
      }
    }
  };
  visit(statement.select);
  return isFound;
}
