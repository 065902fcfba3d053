import type { Command } from "commander";
import { finishLeaving, openLeaving } from "../warehouse/activation/leaving.ts";
import { actor } from "./actor.ts";
import { withSession, type GlobalOptions } from "./session.ts";

/** Who has to leave a destination, where only a person can have it done. */
export function registerLeaving(segment: Command): void {
  segment
    .command("leaving")
    .description("whom a destination has to be asked by hand to take out of its audiences; it goes into the audit")
    .argument("<destination>")
    .option("--done", "note that it was asked to take out those who were shown last")
    .action(async (destination: string, options: { done?: boolean }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        if (options.done) {
          const people = await finishLeaving(session.pool, destination, actor());
          console.log(session.json ? JSON.stringify({ destination, people }) : `Noted: ${people} people are out.`);
          return;
        }
        const audiences = await openLeaving(session.pool, session.vault, destination, actor());
        if (session.json) return console.log(JSON.stringify({ destination, audiences }));
        for (const { audience, people } of audiences) {
          console.log(`${audience}:`);
          for (const { id, fields } of people) {
            const values = Object.entries(fields).map(([name, each]) => `${name}: ${each.join(", ")}`);
            console.log(`  ${[id, ...values].join("\n    ")}`);
          }
        }
        if (audiences.length === 0) console.log(`Nobody has to be taken out of ${destination} by hand.`);
        else console.log(`miette segment leaving ${destination} --done notes that it was done.`);
      });
    });
}
