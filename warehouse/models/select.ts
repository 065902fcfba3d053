import type { SelectStmt } from "libpg-query";
import { UserError } from "../../domain/errors.ts";
import { OPS_FUNCTIONS, refuseFunction, refuseKeyword, type SettingName } from "./functions.ts";
import { placeAt, type Statement } from "./syntax.ts";

/** A relation that a select reads, and where its schema is written (a byte offset). */
export interface Reading {
  relation: string;
  schema: string;
  location: number;
  /** Whether it is given another name, by which its columns are then read. */
  hasAlias: boolean;
}

export interface SelectFacts {
  readings: Reading[];
  /** Settings that the select reads through functions of `ops`. */
  settings: Set<SettingName>;
  errors: UserError[];
}

type Tree = Record<string, any>;

interface Scope {
  ctes: ReadonlySet<string>;
  /** How many relations a bare column name could mean: those of this select and of the selects around it. */
  relations: number;
  /** How many of them stand in this select's own from clause. */
  own: number;
  /** Bare names that are clear all the same: output names in `order by`, columns joined by `using`, aliases as rows. */
  bare: ReadonlySet<string>;
}

/**
 * Walks a select and its subselects: which relations it reads, which settings, and everything that a model may not do
 * (into, locking, writing CTEs, three-part names, bare columns over several relations, functions that don't last).
 */
export function readSelect(statement: Statement): SelectFacts {
  const facts: SelectFacts = { readings: [], settings: new Set(), errors: [] };
  const refuse = (location: number | undefined, mend: string) =>
    facts.errors.push(new UserError(mend, placeAt(statement, location)));

  function visitSelect(select: SelectStmt, outer: Scope): void {
    const start = firstLocation(select);
    if (select.intoClause)
      refuse(select.intoClause.rel?.location, "select … into is not allowed: the file's name is the relation's.");
    if (select.lockingClause) refuse(start, "for update and for share are not allowed: a model only reads.");
    const ctes = new Set(outer.ctes);
    const list = (select.withClause?.ctes ?? []) as Tree[];
    if (select.withClause?.recursive) for (const { CommonTableExpr: cte } of list) ctes.add(cte.ctename);
    for (const { CommonTableExpr: cte } of list) {
      if (cte.ctequery.SelectStmt) visitSelect(cte.ctequery.SelectStmt, { ...outer, ctes: new Set(ctes) });
      else refuse(cte.location, `"${cte.ctename}" writes data; a model only reads.`);
      ctes.add(cte.ctename);
    }
    if (select.larg && select.rarg) {
      visitSelect(select.larg, { ...outer, ctes });
      visitSelect(select.rarg, { ...outer, ctes });
      visit(select.sortClause, { ctes, relations: 0, own: 0, bare: outer.bare });
      return;
    }
    const from = fromClause(select);
    const scope: Scope = {
      ctes,
      relations: outer.relations + from.count,
      own: from.count,
      bare: new Set([...outer.bare, ...from.aliases, ...from.using]),
    };
    for (const item of select.fromClause ?? []) visitFrom(item as Tree, scope, { ...outer, ctes });
    for (const part of [
      select.targetList,
      select.whereClause,
      select.havingClause,
      select.windowClause,
      select.valuesLists,
    ])
      visit(part, scope);
    visit([select.limitCount, select.limitOffset], scope);
    const named = { ...scope, bare: new Set([...scope.bare, ...outputNames(select)]) };
    visit([select.sortClause, select.groupClause, select.distinctClause], named);
  }

  function visitFrom(item: Tree, scope: Scope, outside: Scope): void {
    if (item["RangeVar"]) visitRelation(item["RangeVar"], scope);
    else if (item["JoinExpr"]) {
      const join = item["JoinExpr"];
      if (join.isNatural) refuse(firstLocation(join), "natural join hides what joins; write using (…) or on ….");
      visitFrom(join.larg, scope, outside);
      visitFrom(join.rarg, scope, outside);
      visit(join.quals, scope);
    } else if (item["RangeSubselect"]) {
      const { lateral, subquery } = item["RangeSubselect"];
      visitSelect(subquery.SelectStmt, lateral ? scope : outside);
    } else if (item["RangeTableSample"]) {
      refuse(item["RangeTableSample"].location, "tablesample gives other rows each time; a model may not use it.");
    } else visit(item, scope);
  }

  function visitRelation(range: Tree, scope: Scope): void {
    const { catalogname, schemaname, relname, location, inh } = range;
    if (!inh) refuse(location, "only is not allowed: a relation of the graph has no others below it.");
    if (catalogname)
      refuse(location, `"${catalogname}.${schemaname}.${relname}" has three parts; write ${schemaname}.${relname}.`);
    else if (schemaname)
      facts.readings.push({
        relation: `${schemaname}.${relname}`,
        schema: schemaname,
        location: location ?? 0,
        hasAlias: range["alias"] !== undefined,
      });
    else if (!scope.ctes.has(relname))
      refuse(location, `"${relname}" has no schema; write core.${relname}, say, or name a CTE.`);
  }

  function visit(node: unknown, scope: Scope): void {
    if (Array.isArray(node)) for (const item of node) visit(item, scope);
    if (Array.isArray(node) || node === null || typeof node !== "object") return;
    for (const [kind, value] of Object.entries(node as Tree)) {
      if (kind === "SelectStmt") {
        visitSelect(value, { ...scope, own: 0 });
        continue;
      }
      if (kind === "ColumnRef") visitColumn(value, scope);
      else if (kind === "FuncCall") visitFunction(value);
      else if (kind === "SQLValueFunction") refuse(value.location, refuseKeyword(value.op) ?? "");
      else if (kind === "ParamRef") refuse(value.location, `$${value.number} is a parameter; a model has none.`);
      else if (kind === "RangeVar") visitRelation(value, scope);
      else if (kind === "TypeCast") visitCast(value);
      visit(value, scope);
    }
  }

  function visitColumn({ fields, location }: Tree, scope: Scope): void {
    const names = (fields as Tree[]).map((field) => field["String"]?.sval ?? "*");
    if (names.length > 2)
      refuse(
        location,
        `"${names.join(".")}" has three parts; give the relation an alias and write alias.${names.at(-1)}.`,
      );
    if (names.length !== 1) return;
    const [name] = names;
    if (name === "*" ? scope.own > 1 : scope.relations > 1 && !scope.bare.has(name)) {
      refuse(location, `"${name}" is read beside more than one relation; write alias.${name}.`);
    }
  }

  function visitFunction({ funcname, args, location }: Tree): void {
    const parts = (funcname as Tree[]).map((part) => part["String"].sval as string);
    const name = parts.at(-1)!;
    const schema = parts.length > 1 ? parts.slice(0, -1).join(".") : null;
    const mend = refuseFunction(schema, name, args?.length ?? 0);
    if (mend) refuse(location, mend);
    const setting = schema === "ops" ? OPS_FUNCTIONS[name] : null;
    if (setting) facts.settings.add(setting);
  }

  function visitCast({ arg, location }: Tree): void {
    const literal = arg?.A_Const?.sval?.sval;
    if (typeof literal === "string" && /^\s*(now|today|tomorrow|yesterday)\b/i.test(literal)) {
      refuse(
        arg.A_Const.location ?? location,
        `'${literal.trim()}' differs from run to run; use ops.as_of(), one value per day.`,
      );
    }
  }

  visitSelect(statement.select, { ctes: new Set(), relations: 0, own: 0, bare: new Set() });
  return facts;
}

function fromClause(select: SelectStmt): { count: number; aliases: string[]; using: string[] } {
  const found = { count: 0, aliases: [] as string[], using: [] as string[] };
  const collect = (item: Tree): void => {
    const join = item["JoinExpr"];
    if (join) {
      for (const name of join.usingClause ?? []) found.using.push(name.String.sval);
      collect(join.larg);
      collect(join.rarg);
      return;
    }
    found.count++;
    const range = Object.values(item)[0] as Tree;
    const alias = range["alias"]?.aliasname ?? range["relname"];
    if (alias) found.aliases.push(alias);
  };
  for (const item of select.fromClause ?? []) collect(item as Tree);
  return found;
}

function outputNames(select: SelectStmt): string[] {
  return (select.targetList ?? []).flatMap((target) => {
    const { name, val } = (target as Tree)["ResTarget"] ?? {};
    const field = val?.ColumnRef?.fields.at(-1)?.String?.sval;
    return name ?? field ?? [];
  });
}

/** The smallest byte offset below a node: where it stands in the file, near enough for a line. */
function firstLocation(node: unknown): number | undefined {
  let first: number | undefined;
  JSON.stringify(node, (key, value) => {
    if (key === "location" && value >= 0 && (first === undefined || value < first)) first = value;
    return value;
  });
  return first;
}
