import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { readReceipts, verifyReceipts, type Receipt } from "../warehouse/receipts.ts";
import { readRequest } from "../warehouse/requests/store.ts";
import { withSession, type GlobalOptions } from "./session.ts";

export function registerReceipt(program: Command): void {
  const receipt = program.command("receipt");
  receipt
    .command("show")
    .description("the receipts of a request, or of all, as lines of JSON that receipt verify reads")
    .argument("[id]", "of a request, or of a run of retention; absent: all")
    .action(async (requestId: string | undefined, _options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const receipts = await readReceipts(session.auditorPool, requestId ?? null);
        if (requestId !== undefined && receipts.length === 0) await readRequest(session.auditorPool, requestId);
        for (const each of receipts) console.log(JSON.stringify(each));
      });
    });
  receipt
    .command("verify")
    .description("check a file of receipts by itself, without the warehouse: signatures, hashes, and the chain")
    .argument("<file>", "what receipt show has printed")
    .option("--key <fingerprint>", "the key that must have signed, as an earlier verification named it")
    .action(async (file: string, { key }: { key?: string }, command: Command) => {
      const checked = verifyReceipts(parseReceipts(await read(file), file), key);
      if (command.optsWithGlobals<GlobalOptions>().json) return console.log(JSON.stringify(checked));
      for (const { statement, fingerprint } of checked) {
        const { receipt: number, request, run, occasion, outcome, issued_at: at } = statement;
        const subject = typeof request === "string" ? `request ${request}` : `run ${String(run)}`;
        console.log(
          `receipt ${String(number)} of ${subject}: ${String(occasion)}, ${String(outcome)}, ${String(at)}, signed by ${fingerprint}`,
        );
      }
    });
}

async function read(file: string): Promise<string> {
  return await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`can't be read (${error.code ?? "unknown"})`, { file });
  });
}

function parseReceipts(text: string, file: string): Receipt[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new UserError("holds no receipt", { file });
  return lines.map((line, index) => {
    try {
      const value = JSON.parse(line) as Receipt;
      if ([value.body, value.signature, value.hash].every((each) => typeof each === "string")) return value;
    } catch {
      // Told below.
    }
    throw new UserError("is no receipt; write one as receipt show prints it, in one line", { file, line: index + 1 });
  });
}
