import { UserError, type Place } from "../../domain/errors.ts";
import type { Contract } from "../contracts.ts";
import type { Step } from "./steps.ts";
import type { Output } from "./columns.ts";
import type { Model } from "./model.ts";
import type { Follow, RelationSpec } from "./relation.ts";
import { placeAt } from "./syntax.ts";

/** Steps with every one after those that it reads. Throws a UserError that spells the path where they form a cycle. */
export function orderSteps(steps: readonly Step[], makers: ReadonlyMap<string, Step>): Step[] {
  const done = new Set<Step>();
  const ordered: Step[] = [];
  const visit = (step: Step, path: Step[]): void => {
    if (done.has(step)) return;
    const start = path.indexOf(step);
    if (start !== -1) {
      const names = [...path.slice(start), step].map((member) => member.name).join(" -> ");
      throw new UserError(`reads itself in a circle: ${names}; break it.`, placeOf(path.at(-1)!, step));
    }
    for (const input of step.inputs) {
      const maker = makers.get(input);
      if (maker) visit(maker, [...path, step]);
    }
    done.add(step);
    ordered.push(step);
  };
  for (const step of steps.toSorted((a, b) => (a.name < b.name ? -1 : 1))) visit(step, []);
  return ordered;
}

/** Where a step reads an output of another. */
function placeOf(step: Step, input: Step): Place {
  if (step.kind !== "sql") return { file: step.file };
  const outputs = input.outputs.map((spec) => spec.name);
  const reading = step.model.readings.find((other) => outputs.includes(other.relation));
  return reading ? placeAt(step.model.statement, reading.location) : { file: step.file };
}

/** Checks what a relation says of its own columns and of the relations that its keys point at. */
export function checkReferences(step: Step, makers: ReadonlyMap<string, Step>, errors: UserError[]): void {
  for (const spec of step.outputs) {
    const model = step.kind === "sql" ? step.model : null;
    const fail = (word: string, mend: string) => {
      const line = model?.lines.get(word);
      errors.push(new UserError(mend, { file: step.file, ...(line && { line }) }));
    };
    if (model?.output.isComplete) {
      const names = model.output.columns.map((column) => column.name);
      const said: [string, string[]][] = [
        ["key", spec.key],
        ["not null", spec.notNull],
        ["foreign key", spec.foreignKeys.flatMap((key) => key.columns)],
        ["follows", spec.follows.flatMap((input) => input.columns)],
        ...Object.keys(spec.columns).map((name): [string, string[]] => [`column ${name}`, [name]]),
      ];
      for (const [word, columns] of said) {
        const missing = columns.find((name) => !names.includes(name));
        if (missing) fail(word, `the select returns no column ${missing}; it returns ${names.join(", ")}.`);
      }
    }
    for (const { columns, references } of spec.foreignKeys) {
      const target = makers.get(references)?.outputs.find((output) => output.name === references);
      if (!target) fail("foreign key", `there is no relation ${references} for the foreign key to point at.`);
      else if (target.materialize === "view")
        fail("foreign key", `${references} is a view; a foreign key points at a table.`);
      else if (target.key.length !== columns.length) {
        fail("foreign key", `the key of ${references} is (${target.key.join(", ")}); name as many columns.`);
      } else if (spec.name.startsWith("core.") && references.startsWith("mart.")) {
        fail("foreign key", `core is built before mart, so ${spec.name} can't point at ${references}.`);
      }
    }
    if (spec.materialize === "view" && spec.follows.length)
      fail("follows", "a view is read as it stands and follows nothing: remove the line or materialize a table.");
    if (spec.materialize === "incremental" && !spec.follows.length)
      fail("materialize", 'says incremental; add "-- follows: core.orders by order_id", or remove the line.');
    if (!model) continue;
    spec.follows = findFollowed(spec.follows, step.inputs, model.output, makers, (mend) => fail("follows", mend));
  }
}

/**
 * Finds the columns of the inputs where a header does not name them: what the output's column copies, else the column of
 * the same name.
 */
export function findFollowed(
  follows: readonly Follow[],
  inputs: readonly string[],
  output: Output,
  makers: ReadonlyMap<string, Step>,
  fail: (mend: string) => void,
): Follow[] {
  return follows.map((follow) => {
    const { relation, columns } = follow;
    if (!inputs.includes(relation)) fail(`follows ${relation}, which the select does not read.`);
    const spec = makers.get(relation)?.outputs.find((other) => other.name === relation);
    if (!spec) return follow;
    if (spec.materialize === "view") fail(`follows ${relation}, which is a view; follow what it reads.`);
    const known = namesOf(makers.get(relation)!, spec);
    const from = columns.map((name, i) => {
      if (follow.from) return follow.from[i]!;
      const source = output.columns.find((column) => column.name === name)?.sources;
      const copied = source?.length === 1 && source[0]!.relation === relation ? source[0]!.column : name;
      if (known && !known.includes(copied))
        fail(`write "follows: ${relation} by ${columns.join(", ")} from …": it has no column ${name}.`);
      return copied;
    });
    const missing = known && from.find((name) => !known.includes(name));
    if (follow.from && missing) fail(`follows ${relation} from ${missing}, a column that it does not have.`);
    return { relation, columns, from };
  });
}

/** A relation's columns as far as the graph knows them. */
function namesOf(step: Step, spec: RelationSpec): string[] | null {
  if (step.kind !== "sql") return Object.keys(spec.columns);
  return step.model.output.isComplete ? step.model.output.columns.map((column) => column.name) : null;
}

/** Gives a staging model the descriptions of its contract; the shape is checked when the view is made. */
export function checkContract(model: Model, contracts: ReadonlyMap<string, Contract>, errors: UserError[]): void {
  if (!model.contract) return;
  const contract = contracts.get(model.contract);
  const place = { file: model.statement.file.displayFile, line: model.lines.get("contract") ?? 1 };
  if (!contract) {
    errors.push(
      new UserError(`there is no contract ${model.contract}; there are ${[...contracts.keys()].join(", ")}.`, place),
    );
    return;
  }
  const names = model.output.columns.map((column) => column.name);
  if (model.output.isComplete) {
    for (const { name, type } of [
      ...contract.columns.filter((column) => !column.optional),
      { name: "record_key", type: "uuid" },
      { name: "deleted_at", type: "timestamptz" },
    ]) {
      if (!names.includes(name)) {
        errors.push(
          new UserError(
            `lacks column ${name} of contract ${contract.name}; add ${name}, or null::${type} as ${name}.`,
            place,
          ),
        );
      }
    }
  }
  for (const { name, description } of contract.columns) {
    if (names.includes(name)) model.spec.columns[name] ??= description;
  }
}

/** The known name that differs least from a wrong one, or null where none is near. */
export function closest(wrong: string, known: readonly string[]): string | null {
  const ranked = known.map((name) => ({ name, distance: editDistance(wrong, name) }));
  const [best] = ranked.toSorted((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(2, wrong.length / 4) ? best.name : null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
