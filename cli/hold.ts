import type { Command } from "commander";
import { HOLDS_WORKFLOW_ID } from "../domain/ids.ts";
import { addHold, listHolds, releaseHold, requireHeld } from "../warehouse/holds/holds.ts";
import { openHeld } from "../warehouse/holds/release.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { readNames, withSubject, type SubjectOptions } from "./request-subject.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { parseTime } from "./time.ts";
import { runWorkflow } from "./workflow.ts";

interface AddOptions extends SubjectOptions {
  category: string;
  for: string;
  law: string;
  until?: Date;
}

export function registerHold(program: Command): void {
  const hold = program.command("hold");
  withSubject(hold.command("add"))
    .description("keep a category of one person's records, whoever asks for their erasure; it goes into the audit")
    .requiredOption("--category <name>", "a stream, as in shop.orders, or a contract, as in orders")
    .requiredOption("--for <purpose>", "what it is kept for, as in litigation")
    .requiredOption("--law <text>", "the law that asks for it, as receipts are to name it")
    .option("--until <time>", "when it ends by itself, ISO 8601; without it, when it is released", parseTime)
    .action(async (options: AddOptions, command: Command) => {
      const named = readNames(options);
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const { pool, vault, project, json } = session;
        const { holdId, isKnown } = await addHold(pool, vault, project, await session.graph(), {
          named,
          category: options.category,
          purpose: options.for,
          law: options.law,
          until: options.until ?? null,
          actor: actor(),
        });
        if (json) return console.log(JSON.stringify({ holdId, isKnown }));
        const notYet = isKnown ? "" : " Nobody is known by it yet; it counts from their first record on.";
        console.log(`Held; miette hold release ${holdId} ends it.${notYet}`);
      });
    });
  hold
    .command("list")
    .description("what is held by hand, and what erasures have set aside")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ auditorPool, json }) => {
        const rows = (await listHolds(auditorPool)).map((each) => ({
          id: each.id,
          held: each.kind,
          category: each.category,
          for: each.purpose,
          law: each.law,
          until: each.until,
          released: each.releasedAt,
          "set aside": each.records,
        }));
        printRows(rows, { json, empty: "Nothing is held." });
      });
    });
  hold
    .command("release")
    .description("end a hold; erasures of which it has kept something are finished, each with a receipt of its own")
    .argument("<id>", "of the hold, or of the erasure's request")
    .action(async (id: string, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async ({ pool, client, json }) => {
        await releaseHold(pool, id, actor());
        const { records } = await runWorkflow<{ records: number }>(client, "releaseHolds", {
          workflowId: HOLDS_WORKFLOW_ID,
          input: {},
          summary: "holds that have ended",
          quiet: json,
        });
        console.log(json ? JSON.stringify({ id, records }) : `Released; ${records} records of erased people went.`);
      });
    });
  hold
    .command("show")
    .description("open what is held of an erased person, as lines of JSON; it goes into the audit")
    .argument("<request>", "the id of the erasure")
    .requiredOption("--purpose <text>", "why it is opened")
    .action(async (requestId: string, { purpose }: { purpose: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async ({ pool, vault }) => {
        await requireHeld(pool, requestId);
        const records = await openHeld(pool, vault, requestId, { actor: actor(), purpose });
        for (const each of records) console.log(JSON.stringify(each));
      });
    });
}
