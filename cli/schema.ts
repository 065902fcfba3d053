import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { schemaWorkflowId } from "../domain/ids.ts";
import type { AcceptFieldInput, AcceptFieldReport } from "../domain/runs.ts";
import { PERSONAL_KINDS, type PersonalKind } from "../domain/streams.ts";
import { actor } from "./actor.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

export function registerSchema(program: Command): void {
  program
    .command("schema")
    .command("accept")
    .description("declare a field, in the stream's schema and for the records that landed before")
    .argument("<source>")
    .argument("<stream>")
    .argument("<field>", "as miette status lists it")
    .option("--personal <kind>", `seal it as ${PERSONAL_KINDS.join(", ")}`)
    .option("--open", "show it as it is")
    .action(
      async (
        source: string,
        stream: string,
        field: string,
        options: { personal?: string; open?: boolean },
        command: Command,
      ) => {
        const as = labelOf(options);
        await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
          const input: AcceptFieldInput = { source, stream, field, ...(as && { as }), actor: actor() };
          const report = await runWorkflow<AcceptFieldReport>(session.client, "acceptField", {
            workflowId: schemaWorkflowId(source, stream, randomUUID()),
            input,
            summary: `${source}.${stream}`,
            quiet: session.json,
          });
          console.log(session.json ? JSON.stringify(report) : describe(field, report));
        });
      },
    );
}

function labelOf({ personal, open }: { personal?: string; open?: boolean }): PersonalKind | "open" | undefined {
  if (personal === undefined) return open ? "open" : undefined;
  if (open) throw new UserError("a field is personal or open; give one of --personal and --open", { key: "--open" });
  if (!(PERSONAL_KINDS as readonly string[]).includes(personal)) {
    throw new UserError(`is no kind of personal data; there are ${PERSONAL_KINDS.join(", ")}`, { key: "--personal" });
  }
  return personal as PersonalKind;
}

function describe(
  field: string,
  { schema, isNew, file, rowsRead, rowsChanged, valuesRefused }: AcceptFieldReport,
): string {
  const label = schema.personal
    ? `personal (${schema.personal}${schema.identifier ? `, identifier ${schema.identifier}` : ""})`
    : "open";
  const lines = [
    isNew ? `${field} is declared in ${file}: ${label}.` : `${field} was declared in ${file} already: ${label}.`,
    `${rowsRead} rows that had landed before were read, ${rowsChanged} of them changed.`,
  ];
  if (valuesRefused > 0) {
    lines.push(
      `${valuesRefused} values break that schema and stay sealed; widen the field's type there, and sync again.`,
    );
  }
  return lines.join("\n");
}
