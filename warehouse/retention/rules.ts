import { columnName } from "../../domain/columns.ts";
import { UserError, UserErrors } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import { STATE_CATEGORIES, type HoldRule, type RetentionRule } from "../../domain/retention.ts";
import { isMoment, rawTableName, type Stream } from "../../domain/streams.ts";
import { quoteName } from "../database.ts";
import { keptFacts, tablesOf } from "../erasure/kept-facts.ts";
import type { Graph } from "../models/graph.ts";

/** What is asked of how old a record may become. */
export interface Age {
  /** A period as Postgres reads it: `25 months`. */
  keep: string;
  /** The field that it is counted from; null: the landing. */
  from: string | null;
}

/** The rules of one raw table. */
export interface TableRules {
  /** `raw.shop__orders`. */
  relation: string;
  category: string;
  /** What is past this age goes; null: records stay for good. */
  retention: Age | null;
  action: "delete" | "strip";
  /** What is younger than one of these stays, and is held against an erasure. */
  holds: (Age & Pick<HoldRule, "purpose" | "law">)[];
}

/** The project's rules, and which raw tables hold facts that outlive their person. */
export interface Retention {
  rules: ReadonlyMap<string, TableRules>;
  facts: ReadonlyMap<string, readonly string[]>;
  /** By raw table, the names that stand for it: its stream, and the contracts that it becomes. */
  categories: ReadonlyMap<string, readonly string[]>;
}

/** @throws UserErrors where a rule can't be meant */
export function readRetention(graph: Graph, project: Pick<Project, "sources" | "retention" | "holds">): Retention {
  const facts = keptFacts(graph, project);
  const categories = new Map<string, string[]>();
  for (const stream of project.sources.flatMap((source) => source.streams)) {
    categories.set(relationOf(stream), [`${stream.source}.${stream.name}`]);
  }
  for (const step of graph.steps) {
    if (step.kind !== "contract") continue;
    for (const table of tablesOf(graph, step.contract.name) ?? []) categories.get(table)?.push(step.contract.name);
  }
  return { facts, categories, rules: resolveRules(graph, project, facts) };
}

/**
 * The rules by raw table: a stream's own counts before that of its contract.
 * @param facts raw tables whose records outlive their person
 * @throws UserErrors where a rule names no contract, a field that a stream has not, or would delete what sums are made of
 */
function resolveRules(
  graph: Graph,
  project: Pick<Project, "sources" | "retention" | "holds">,
  facts: ReadonlyMap<string, readonly string[]>,
): Map<string, TableRules> {
  const streams = project.sources.flatMap((source) => source.streams);
  const errors: UserError[] = [];
  const rules = new Map<string, TableRules>();
  const ruleOf = (relation: string, category: string): TableRules => {
    const isFact = facts.has(relation);
    const rule = rules.get(relation) ?? {
      relation,
      category,
      retention: null,
      action: isFact ? "strip" : "delete",
      holds: [],
    };
    rules.set(relation, rule);
    return rule;
  };
  const states: readonly string[] = STATE_CATEGORIES;
  const ordered = project.retention.filter(({ category }) => !states.includes(category));
  for (const rule of ordered.toSorted((a, b) => Number(a.category.includes(".")) - Number(b.category.includes(".")))) {
    for (const stream of streamsOf(graph, streams, rule, errors)) {
      const relation = relationOf(stream);
      const found = ruleOf(relation, rule.category);
      found.category = rule.category;
      found.retention = { keep: rule.keep, from: rule.from };
      found.action = rule.action ?? (facts.has(relation) ? "strip" : "delete");
      if (found.action === "delete" && facts.has(relation)) {
        errors.push(
          new UserError(
            `would delete records of ${stream.source}.${stream.name}, of which sums of money are made; write then: strip, which leaves amount and day without their person`,
            rule.place,
          ),
        );
      }
    }
  }
  for (const rule of project.holds) {
    for (const stream of streamsOf(graph, streams, rule, errors)) {
      const { keep, from, purpose, law } = rule;
      ruleOf(relationOf(stream), rule.category).holds.push({ keep, from, purpose, law });
    }
  }
  if (errors.length > 0) throw new UserErrors(errors);
  return rules;
}

/** The streams of a category. */
function streamsOf(
  graph: Graph,
  streams: readonly Stream[],
  { category, from, place }: RetentionRule | HoldRule,
  errors: UserError[],
): Stream[] {
  if (category.includes(".")) return streams.filter(({ source, name }) => `${source}.${name}` === category);
  const tables = tablesOf(graph, category);
  if (tables === null) {
    errors.push(
      new UserError(
        `${JSON.stringify(category)} is no contract and no stream; write source.stream, or a contract as in orders`,
        place,
      ),
    );
    return [];
  }
  return streams.filter((stream) => {
    if (!tables.includes(relationOf(stream))) return false;
    if (from === null || isMoment(stream, from)) return true;
    errors.push(
      new UserError(
        `${stream.source}.${stream.name} has no open field ${from} of format date or date-time; give that stream a rule of its own`,
        place,
      ),
    );
    return false;
  });
}

function relationOf({ source, name }: Stream): string {
  return `raw.${rawTableName(source, name)}`;
}

/** An SQL expression: when row `t` of a raw table or its history began to age. */
export function momentOf({ from }: Age): string {
  return from === null ? "t.landed_at" : `coalesce(t.${quoteName(columnName(from))}::timestamptz, t.landed_at)`;
}

/** An SQL condition: row `t` is past its age, and no rule holds it. The session's time zone is UTC. */
export function isPastAge({ retention, holds }: TableRules): string {
  if (retention === null) return "false";
  return [
    `${momentOf(retention)} < now() - interval '${retention.keep}'`,
    ...holds.map((hold) => `not (${isHeld(hold)})`),
  ].join(" and ");
}

/** An SQL condition: row `t` is younger than a hold's period. */
export function isHeld(hold: Age): string {
  return `${momentOf(hold)} >= now() - interval '${hold.keep}'`;
}
