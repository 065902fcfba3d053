import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { recordOpening, requireCustomer, revealCustomer, tokensOf } from "../warehouse/reveal.ts";
import { actor } from "./actor.ts";
import { printTable } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";

export function registerReveal(program: Command): void {
  program
    .command("reveal")
    .description("open what is sealed of one customer, in plain text; it goes into the audit")
    .argument("<customer>", "a customer_id of the mart")
    .requiredOption("--purpose <text>", "what for, without naming the person; it goes into the audit")
    .action(async (customerId: string, { purpose }: { purpose: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        await requireCustomer(session.pool, customerId);
        await recordOpening(session.pool, { actor: actor(), action: "reveal", subject: { customerId }, purpose });
        const revealed = await revealCustomer(session.pool, session.vault, customerId);
        if (session.json) return console.log(JSON.stringify(revealed));
        printTable(
          ["kind", "value", "token"],
          revealed.identifiers.map(({ kind, value, token }) => [kind, value, token]),
        );
        for (const { stream, recordKey, fields } of revealed.records) {
          console.log(`\n${stream} ${recordKey}\n  ${JSON.stringify(fields)}`);
        }
      });
    });
  program
    .command("token")
    .description("the token by which SQL knows an identifier; it goes into the audit")
    .argument("<kind>", "email, phone, customer_id, … as the schemas declare")
    .argument("<value>", "the identifier, or - to read it from standard input, where no shell keeps it")
    .action(async (kind: string, value: string, _options: unknown, command: Command) => {
      const text = value === "-" ? readFileSync(0, "utf8").replace(/\r?\n$/, "") : value;
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const tokens = tokensOf(session.project, session.vault, kind, text);
        for (const token of tokens) {
          await recordOpening(session.pool, { actor: actor(), action: "token", subject: { token }, detail: { kind } });
        }
        console.log(session.json ? JSON.stringify(tokens) : tokens.join("\n"));
      });
    });
}
