import type { Command } from "commander";
import { KEYS_WORKFLOW_ID, REKEY_WORKFLOW_ID } from "../domain/ids.ts";
import type { KeyRotationReport, TokenRekeying } from "../domain/runs.ts";
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
    .command("rekey")
    .description("name all identifiers under a new token key; syncs and builds wait while stored tokens are renamed")
    .option("--retire", "destroy the former token key, once nothing needs it")
    .action(async (options: { retire?: boolean }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const run = <T>(type: string, summary: string): Promise<T> =>
          runWorkflow<T>(session.client, type, {
            workflowId: REKEY_WORKFLOW_ID,
            input: { actor: actor() },
            summary,
            quiet: session.json,
          });
        if (options.retire) {
          const isRetired = await run<boolean>("retireTokens", "end of a former token key");
          if (session.json) return console.log(JSON.stringify({ isRetired }));
          return console.log(
            isRetired
              ? "The former token key is destroyed; miette keys rotate and a new backup end its copies too."
              : "There is no former token key.",
          );
        }
        const report = await run<TokenRekeying>("rekeyTokens", "new names of tokens");
        if (session.json) return console.log(JSON.stringify(report));
        console.log(
          `${report.identifiers} identifiers have new tokens, each of which was proven. The former key is kept until miette keys rekey --retire.`,
        );
        if (report.unknown > 0) {
          console.log(
            `${report.unknown} that are noted and have not landed are found by both keys, and get their new names as they arrive.`,
          );
        }
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
