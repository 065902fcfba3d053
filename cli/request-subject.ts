import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import type { NamedSubject } from "../warehouse/requests/subject.ts";

export interface SubjectOptions {
  email: string[];
  phone: string[];
  id: string[];
}

/** The options by which a request names its person. */
export function withSubject(command: Command): Command {
  const more = (value: string, before: string[]): string[] => [...before, value];
  return command
    .option(
      "--email <address>",
      "an address of the person; - reads it from standard input, where no shell keeps it",
      more,
      [],
    )
    .option("--phone <number>", "a number of the person; - as above", more, [])
    .option("--id <kind:value>", "another identifier, by its kind in the schemas; - as above", more, []);
}

export function readNames({ email, phone, id }: SubjectOptions): NamedSubject {
  const named = [...email, ...phone, ...id].filter((value) => value === "-").length;
  if (named > 1) throw new UserError("standard input holds one identifier; give - once", { key: "request" });
  const read = (value: string): string => (value === "-" ? readFileSync(0, "utf8").trim() : value);
  return { emails: email.map(read), phones: phone.map(read), ids: id.map(read) };
}
