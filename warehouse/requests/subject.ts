import { UserError, UserErrors } from "../../domain/errors.ts";
import type { Project } from "../../domain/project.ts";
import type { PersonalKind } from "../../domain/streams.ts";
import { normaliseIdentifier } from "../../privacy/normalise.ts";

/** An identifier by which somebody asks, in canonical form; in memory only. */
export interface Sought {
  kind: string;
  canonical: string;
}

/** How a person is named in a request; the values are as they were typed. */
export interface NamedSubject {
  emails: string[];
  phones: string[];
  /** `kind:value` each. */
  ids: string[];
}

/** The kinds of identifiers that the project's schemas name people by, each with the personal kind that says how it is read. */
export function identifierKinds(project: Project): Map<string, PersonalKind> {
  const kinds = new Map<string, PersonalKind>();
  for (const { streams } of project.sources) {
    for (const { schema } of streams) {
      for (const { personal, identifier } of Object.values(schema.properties)) {
        if (personal && identifier) kinds.set(identifier, personal);
      }
    }
  }
  return kinds;
}

/**
 * Reads what a person is named by: an e-mail address counts as each kind of identifier that holds addresses, a phone
 * number likewise. Throws UserErrors without a value where a kind is unknown or a value can't be one.
 */
export function readSubject(project: Project, named: NamedSubject): Sought[] {
  const kinds = identifierKinds(project);
  const errors: UserError[] = [];
  const found = new Map<string, Sought>();
  const add = (option: string, kind: string, personal: PersonalKind, value: string): void => {
    const canonical = normaliseIdentifier(personal, value, project.defaultCountry);
    if (canonical === null) errors.push(new UserError(`is no ${personal.replace("_", " ")}`, { key: option }));
    else found.set(`${kind}\0${canonical}`, { kind, canonical });
  };
  const addAll = (option: string, personal: "email" | "phone", values: string[]): void => {
    const own = [...kinds].filter(([, each]) => each === personal).map(([kind]) => kind);
    // A person may ask who is in no source that holds addresses: the answer is then that nobody was found.
    for (const kind of own.length > 0 ? own : [personal])
      for (const value of values) add(option, kind, personal, value);
  };
  addAll("--email", "email", named.emails);
  addAll("--phone", "phone", named.phones);
  for (const id of named.ids) {
    const [, kind, value] = /^([^:]+):(.+)$/s.exec(id) ?? [];
    const personal = kind === undefined ? undefined : kinds.get(kind);
    if (kind === undefined || value === undefined || personal === undefined) {
      const known = [...kinds.keys()].toSorted().join(", ") || "none";
      errors.push(new UserError(`is written kind:value, with one of the project's kinds: ${known}`, { key: "--id" }));
    } else add("--id", kind, personal, value);
  }
  if (errors.length > 0) throw new UserErrors(errors);
  if (found.size === 0) {
    throw new UserError("nobody is named; give --email, --phone or --id kind:value");
  }
  return [...found.values()];
}
