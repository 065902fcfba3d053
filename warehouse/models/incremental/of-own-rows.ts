import { quoteName } from "../../database.ts";
import { quoteRelation } from "../build.ts";
import type { Output } from "../columns.ts";
import type { Follow, RelationSpec } from "../relation.ts";
import type { Group } from "./by-key.ts";
import type { Values } from "./changes.ts";
import { withoutModifier } from "./condition.ts";
import type { Run } from "./run.ts";

/** A model, as far as its rows are told by what it follows. */
export interface FollowingModel {
  spec: RelationSpec;
  output: Output;
}

/**
 * The values of a group that some row of the model has or will have: those of the published rows, and those of the input
 * that the columns are copied from. Of a change in what many models look up (who owns each of all records) most concerns
 * the rows of others. Null where no input that is followed tells which rows there are.
 */
export async function ofOwnRows(run: Run, { spec, output }: FollowingModel, group: Group): Promise<Group | null> {
  const source = spec.follows.find(
    (follow) => follow.columns.join() === group.columns.join() && isCopyOf(output, follow),
  );
  if (!source) return null;
  const shape = run.published.get(spec.name)!;
  const names = group.columns.map((_, i) => `v${i}`);
  const arrays = group.columns.map((name, i) => {
    const { type } = shape.columns.find((column) => column.name === name)!;
    return `$${i + 1}::${withoutModifier(type)}[]`;
  });
  const having = (relation: string, columns: readonly string[]): string =>
    `select ${names.map((name) => `asked.${name}`).join(", ")} from asked
     join ${quoteRelation(relation)} as t on ${columns.map((name, i) => `t.${quoteName(name)} = asked.v${i}`).join(" and ")}`;
  const { rows } = await run.client.query<string[]>({
    text: `with asked (${names.join(", ")}) as (select * from unnest(${arrays.join(", ")}))
      select ${names.map((name) => `${name}::text`).join(", ")} from (
        ${having(spec.name, group.columns)} union ${having(source.relation, source.from!)}
      ) as own`,
    values: group.values.columns.map((column) => [...column]),
    rowMode: "array",
  });
  const values: Values = {
    columns: names.map((_, i) => rows.map((row) => row[i]!)),
    count: rows.length,
    hasNull: group.values.hasNull,
  };
  return { ...group, values };
}

function isCopyOf(output: Output, { relation, columns, from }: Follow): boolean {
  return columns.every((name, i) => {
    const column = output.columns.find((other) => other.name === name);
    const [source, ...others] = column?.sources ?? [];
    return column?.isCopy && others.length === 0 && source?.relation === relation && source.column === from![i];
  });
}
