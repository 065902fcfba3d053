import { Argument, Option, type Command } from "commander";
import { ALL_PURPOSES, CHOICES, type Choice } from "../domain/consent.ts";
import { UserError } from "../domain/errors.ts";
import { JURISDICTIONS } from "../domain/clocks.ts";
import { REVOKE_DELIVERIES } from "../domain/ids.ts";
import { hasDeliveries } from "../warehouse/activation/claim.ts";
import { inTransaction } from "../warehouse/database.ts";
import { recordSaid } from "../warehouse/consent/record.ts";
import { readConsent, readLedger } from "../warehouse/consent/state.ts";
import { readSubject } from "../warehouse/requests/subject.ts";
import { requireCustomer } from "../warehouse/reveal.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { parseTime } from "./time.ts";

interface NoteOptions {
  email: string[];
  phone: string[];
  id: string[];
  purpose?: string;
  at?: Date;
  notice?: string;
  jurisdiction?: string;
  expires?: Date;
}

export function registerConsent(program: Command): void {
  const consent = program.command("consent");
  for (const [name, isGiven, what] of [
    [
      "give",
      true,
      "note that somebody consented, objected, opted out or asked for restriction; it goes into the audit",
    ],
    ["withdraw", false, "note that somebody took it back; it goes into the audit"],
  ] as const) {
    consent
      .command(name)
      .description(what)
      .addArgument(new Argument("<choice>", "what was said").choices(CHOICES))
      .option("--email <address>", "of the person", collect, [])
      .option("--phone <number>", "of the person", collect, [])
      .option("--id <kind:value>", "another identifier of the person", collect, [])
      .option("--purpose <name>", "what it is about, as in marketing; without it, all purposes")
      .option("--at <time>", "when it was said, ISO 8601 (default: now)", parseTime)
      .option("--notice <version>", "which text the person was shown")
      .addOption(new Option("--jurisdiction <law>", "whose law it falls under").choices(JURISDICTIONS))
      .option("--expires <time>", "until when it holds, ISO 8601", parseTime)
      .action(async (choice: Choice, options: NoteOptions, command: Command) => {
        const occurredAt = options.at ?? new Date();
        if (occurredAt.getTime() > Date.now()) throw new UserError("lies in the future", { key: "--at" });
        await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
          const subject = readSubject(session.project, {
            emails: options.email,
            phones: options.phone,
            ids: options.id,
          });
          const said = {
            choice,
            isGiven,
            purpose: options.purpose ?? ALL_PURPOSES,
            occurredAt,
            source: "cli",
            noticeVersion: options.notice ?? null,
            jurisdiction: options.jurisdiction ?? null,
            expiresAt: options.expires ?? null,
          };
          const tokens = subject.map(({ kind, canonical }) => session.vault.naming.token(kind, canonical));
          const event = await inTransaction(
            session.pool,
            (client) => recordSaid(client, said, tokens, actor()),
            "begin; set local role privacy",
          );
          if (await hasDeliveries(session.activatorPool)) {
            await session.client.workflow.signalWithStart("revokeDeliveries", REVOKE_DELIVERIES);
          }
          console.log(session.json ? JSON.stringify({ event: Number(event) }) : `Noted as event ${event}.`);
        });
      });
  }
  consent
    .command("show")
    .description("what holds of one customer for each purpose, and why")
    .argument("<customer>", "a customer_id of the mart")
    .option("--events", "everything that was said, the newest first")
    .action(async (customerId: string, options: { events?: boolean }, command: Command) => {
      await withSession(
        command.optsWithGlobals<GlobalOptions>(),
        { worker: false },
        async ({ pool, auditorPool, json }) => {
          await requireCustomer(pool, customerId);
          const events = await readLedger(auditorPool, customerId);
          if (options.events) return printRows(events, { json, empty: "Nothing was said." });
          const purposes = [...new Set(events.map(({ purpose }) => purpose))].filter((name) => name !== ALL_PURPOSES);
          const states = await readConsent(auditorPool, [customerId], purposes.toSorted());
          const rows = states.map(({ purpose, standing, isAllowed, jurisdiction }) => {
            return { purpose, standing, allowed: isAllowed, jurisdiction };
          });
          printRows(rows, {
            json,
            empty: "Nothing was said of any purpose: where the law asks for a yes, this is a no.",
          });
        },
      );
    });
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
