import { randomBytes } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Option, type Command } from "commander";
import { UserError } from "../domain/errors.ts";
import { LANGUAGES, type Language } from "../report/language.ts";
import { withSession, type GlobalOptions, type Session } from "./session.ts";

export function registerReport(program: Command): void {
  program
    .command("report")
    .option("--out <file>", "the file to write (default: reports/PROJECT.html in the home)")
    .addOption(new Option("--language <language>", "shown first; the page holds both").choices(LANGUAGES).default("en"))
    .action(async (options: { out?: string; language: Language }, command: Command) => {
      // While the servers are asked, what draws is read: 0.1 s.
      void import("../report/build-report.ts").catch(() => undefined);
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const file = await writeReport(session, options);
        console.log(session.json ? JSON.stringify({ file }) : file);
      });
    });
}

/**
 * Writes the report, whole or not at all.
 * @returns the file's absolute path
 * @throws UserError where the file can't be written
 */
export async function writeReport(
  session: Session,
  { out, language = "en" }: { out?: string; language?: Language } = {},
): Promise<string> {
  // Loaded when it is needed: the chart library takes 0.2 s, which no other command should wait for.
  const { buildReport } = await import("../report/build-report.ts");
  const { settings, project, analystPool, pool } = session;
  const report = await buildReport(project, { analystPool, ownerPool: pool, language });
  const file = out === undefined ? join(settings.home, "reports", `${project.name}.html`) : resolve(out);
  const draft = `${file}.${randomBytes(4).toString("hex")}`;
  try {
    if (out === undefined) await mkdir(dirname(file), { recursive: true });
    await writeFile(draft, report, { mode: 0o600 });
    await rename(draft, file);
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    throw new UserError(`can't be written (${code}); name a file in a folder that exists and that you may write to.`, {
      key: "--out",
      file,
    });
  }
  return file;
}
