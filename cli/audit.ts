import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { CodedError, UserError } from "../domain/errors.ts";
import { verifyAudit, type AuditHead } from "../warehouse/audit.ts";
import { inTransaction } from "../warehouse/database.ts";
import { withSession, type GlobalOptions } from "./session.ts";

/** The last head that was found whole, in the home: outside of the warehouse, whose owner could cut the audit's end off. */
const HEAD_FILE = "audit.head";

export function registerAudit(program: Command): void {
  const audit = program.command("audit");
  audit
    .command("verify")
    .description("recompute the chain, and name the first line that is not as it was written")
    .option("--head <seq:hash>", "a head noted earlier (default: the one of the last verification in this home)")
    .action(async (options: { head?: string }, command: Command) => {
      const asked = options.head === undefined ? null : parseHead(options.head);
      if (options.head !== undefined && asked === null) {
        throw new UserError("must be a number, a colon and 64 hex digits, as audit verify prints them", {
          key: "--head",
        });
      }
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const file = join(session.settings.home, HEAD_FILE);
        const noted = asked ?? parseHead((await readFile(file, "utf8").catch(() => "")).trim());
        const verdict = await inTransaction(
          session.auditorPool,
          (client) => verifyAudit(client, noted),
          "begin isolation level repeatable read read only",
        );
        if (session.json) console.log(JSON.stringify(verdict));
        if (verdict.firstBad) {
          const { seq, auditId, reason } = verdict.firstBad;
          const line = [seq === null ? "a line" : `line ${seq}`, auditId ? `(${auditId})` : ""]
            .filter(Boolean)
            .join(" ");
          throw new CodedError("audit_broken", `the audit is broken at ${line}: ${reason}`, { retryable: false });
        }
        if (verdict.head) await writeFile(file, `${formatHead(verdict.head)}\n`, { mode: 0o600 });
        if (!session.json) {
          console.log(
            verdict.head ? `${verdict.lines} lines, unbroken; head ${formatHead(verdict.head)}` : "The audit is empty.",
          );
        }
      });
    });
}

function formatHead({ seq, hash }: AuditHead): string {
  return `${seq}:${hash}`;
}

function parseHead(text: string): AuditHead | null {
  const [, seq, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(text) ?? [];
  return seq && hash ? { seq: Number(seq), hash } : null;
}
