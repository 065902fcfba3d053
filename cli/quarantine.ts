import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { listQuarantine, openQuarantine } from "../warehouse/landing/quarantine.ts";
import { recordOpening } from "../warehouse/reveal.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";

export function registerQuarantine(program: Command): void {
  const quarantine = program.command("quarantine");
  quarantine
    .command("list")
    .description("count them by stream, reason and place")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const rows = await listQuarantine(session.pool);
        printRows(
          rows.map(({ source, stream, reason, pointer, records, lastSeenAt }) => ({
            stream: `${source}.${stream}`,
            reason,
            place: pointer,
            records,
            "last seen": lastSeenAt,
          })),
          { json: session.json, empty: "Nothing is in quarantine." },
        );
      });
    });
  quarantine
    .command("show")
    .description("open the rejected records of a stream: what was received, in plain text")
    .argument("<stream>", "SOURCE.STREAM")
    .requiredOption("--purpose <text>", "what for; it goes into the audit")
    .option("--limit <n>", "how many, newest first", "20")
    .action(async (target: string, options: { limit: string; purpose: string }, command: Command) => {
      const [source, stream] = target.split(".");
      const limit = Number(options.limit);
      if (!source || !stream) throw new UserError("names no stream; write SOURCE.STREAM", { key: target });
      if (!Number.isInteger(limit) || limit < 1)
        throw new UserError("must be a whole number from 1", { key: "--limit" });
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const streams = session.project.sources.flatMap((each) =>
          each.streams.map(({ name }) => `${each.name}.${name}`),
        );
        if (!streams.includes(target)) {
          throw new UserError(`is no stream of the project; there are ${streams.join(", ")}`, { key: target });
        }
        await recordOpening(session.pool, {
          actor: actor(),
          action: "quarantine.show",
          purpose: options.purpose,
          detail: { source, stream, limit },
        });
        const records = await openQuarantine(session.pool, session.vault, { source, stream, limit });
        if (session.json) return console.log(JSON.stringify(records));
        if (records.length === 0) return console.log(`Nothing of ${target} is in quarantine.`);
        for (const { reason, pointer, timesSeen, lastSeenAt, received } of records) {
          console.log(`${reason} at ${pointer || "the record"}, seen ${timesSeen}×, last ${lastSeenAt}\n  ${received}`);
        }
      });
    });
}
