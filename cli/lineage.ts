import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { lineage, type Lineage } from "../warehouse/models/lineage.ts";
import { withSession, type GlobalOptions } from "./session.ts";

export function registerLineage(program: Command): void {
  program
    .command("lineage")
    .argument("<name>", "mart.fct_orders, fct_orders, or mart.fct_orders.amount")
    .action(async (name: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const graph = await session.graph();
        const found = lineage(graph, withSchema(name, [...graph.makers.keys(), ...graph.raw.keys()]));
        console.log(session.json ? JSON.stringify(found) : describe(found));
      });
    });
}

/** `fct_orders` is enough where one schema has it. */
function withSchema(name: string, relations: string[]): string {
  const matching = relations.filter((relation) => relation.split(".")[1] === name.split(".")[0]);
  if (matching.length === 0 && !name.includes("."))
    throw new UserError("there is no such relation; miette status lists those of the mart", { key: name });
  return matching.length === 1 && !relations.includes(name)
    ? `${matching[0]}${name.slice(name.split(".")[0]?.length)}`
    : name;
}

function describe({ relation, file, upstream, downstream, column }: Lineage): string {
  const list = (label: string, items: string[]): string =>
    `${label.padEnd(12)}${items.length ? items.join(", ") : "nothing"}`;
  const lines = [`${relation}${file ? `   ${file}` : ""}`, list("built from", upstream), list("read by", downstream)];
  if (column) {
    const names = (sources: { relation: string; column: string }[]): string[] =>
      sources.map((each) => `${each.relation}.${each.column}`);
    lines.push(
      "",
      `column ${column.name}`,
      list("made of", names(column.sources)),
      list("goes into", names(column.dependents)),
    );
    if (column.unresolved.length > 0) lines.push(list("unresolved", names(column.unresolved)));
  }
  return lines.join("\n");
}
