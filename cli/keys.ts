import type { Command } from "commander";
import { KEYS_WORKFLOW_ID } from "../domain/ids.ts";
import type { KeyRotationReport } from "../domain/runs.ts";
import { keyRingOf } from "../privacy/key-ring.ts";
import { keyStatus } from "../warehouse/rotation.ts";
import { actor } from "./actor.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";
import { runWorkflow } from "./workflow.ts";

export function registerKeys(program: Command): void {
  const keys = program.command("keys");
  keys
    .command("status")
    .description("the generations, and how many keys each wraps")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const generations = await keyStatus(session.pool);
        const { place } = keyRingOf(session.settings);
        if (session.json) return console.log(JSON.stringify({ place, generations }));
        console.log(`Kept in ${place}\n`);
        printRows(
          generations.map(({ generation, status, keys: wrapped, createdAt, destroyedAt }) => ({
            generation,
            status,
            keys: wrapped,
            "made at": createdAt,
            "destroyed at": destroyedAt,
          })),
          { json: false, empty: "" },
        );
      });
    });
  keys
    .command("rotate")
    .description("wrap all living keys under a new generation, prove it, and destroy the old one")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const report = await runWorkflow<KeyRotationReport>(session.client, "rotateKeys", {
          workflowId: KEYS_WORKFLOW_ID,
          input: { actor: actor() },
          summary: "key rotation",
          quiet: session.json,
        });
        if (session.json) return console.log(JSON.stringify(report));
        const { generation, destroyed, keys: wrapped } = report;
        console.log(
          `Generation ${generation} wraps ${wrapped} keys, each of which was opened; generation ${destroyed.join(", ")} is destroyed. Back the warehouse up now: an older backup opens only beside the current vault.`,
        );
      });
    });
}
