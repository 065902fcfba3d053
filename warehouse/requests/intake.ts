import { randomBytes } from "node:crypto";
import type pg from "pg";
import { readClock } from "../../domain/clocks.ts";
import { UserError, UserErrors } from "../../domain/errors.ts";
import { requestWorkflow } from "../../domain/ids.ts";
import type { Project } from "../../domain/project.ts";
import type { RequestKind, RequestTerms } from "../../domain/requests.ts";
import type { Vault } from "../vault.ts";
import { planStream } from "../landing/plan.ts";
import { readRightValue } from "./right-value.ts";
import { receiveRequest, type RequestSecret } from "./store.ts";
import { readSubject, type NamedSubject } from "./subject.ts";

/** What somebody asks, as it comes from a command, an HTTP call or a source. */
export interface Intake {
  /** The request's id, where whoever asks has given it one; absent: a new one. */
  requestId?: string;
  kind: RequestKind;
  /** `cli`, `api`, `gpc`, `source:newsletter`. */
  channel: string;
  jurisdiction: string | null;
  named: NamedSubject;
  /** Who asks for the person, as they name themselves; absent: the person. */
  agent?: string;
  terms?: RequestTerms;
  /** correction: the right values by `source.stream.field`; null: there is none. */
  values?: Record<string, string | null>;
  /** Before this moment nothing is carried out. */
  notBefore?: Date | null;
  /** Who is told, signed, what has become of it. */
  callbacks?: string[];
  actor: string;
}

export interface TakenIn {
  requestId: string;
  /** By when it has to be answered, ISO 8601. */
  dueAt: string;
  /** access, portability: what will encrypt the archive. It is told now, and never again. */
  passphrase: string | null;
  /** Carries it out, once it may be: takes `{ requestId, actor, approvedBy }`. */
  workflow: { type: string; workflowId: string };
}

const LEDGER_KINDS: readonly RequestKind[] = ["restriction", "objection", "opt_out", "limit", "consent"];
const MOST_OF_AGENT = 200;
const PURPOSE = /^[a-z][a-z0-9_]{0,62}$/;

/**
 * Takes a request of any kind in, whichever way it came: checks what is asked, names the person by the project's kinds of
 * identifiers, sets the law's clock, and seals what names the person before anything is written.
 * @throws UserErrors without a value where it can't be what somebody may ask
 */
export async function takeIn(pool: pg.Pool, vault: Vault, project: Project, intake: Intake): Promise<TakenIn> {
  const { kind, channel, jurisdiction, notBefore = null, actor } = intake;
  const identifiers = readSubject(project, intake.named);
  const terms = readTerms(project, intake);
  const now = new Date();
  const { due } = readClock(
    { jurisdiction, kind, receivedAt: now, identifiedAt: null, isExtended: false },
    project.timeZone,
  );
  const secret: RequestSecret = {};
  if (intake.agent !== undefined) secret.agent = intake.agent;
  if (kind === "correction") secret.values = intake.values ?? {};
  if (kind === "access" || kind === "portability") secret.passphrase = makePassphrase();
  const requestId = await receiveRequest(pool, vault, {
    kind,
    channel,
    jurisdiction,
    dueAt: new Date(due.at),
    notBefore,
    identifiers,
    terms,
    ...(Object.keys(secret).length > 0 && { secret }),
    ...(intake.requestId !== undefined && { requestId: intake.requestId }),
    ...(intake.callbacks && { callbacks: intake.callbacks }),
    actor,
  });
  return {
    requestId,
    dueAt: due.at,
    passphrase: secret.passphrase ?? null,
    workflow: requestWorkflow(kind, requestId),
  };
}

function readTerms(project: Project, { kind, agent, terms = {}, values = {} }: Intake): RequestTerms {
  const errors: UserError[] = [];
  const { purposes = [], isLifted, noticeVersion, expiresAt } = terms;
  const isSaid = LEDGER_KINDS.includes(kind);
  if (!isSaid && (purposes.length > 0 || isLifted !== undefined)) {
    errors.push(new UserError(`a request of kind ${kind} has no purposes and takes nothing back`, { key: "purposes" }));
  }
  if (kind !== "consent" && (noticeVersion !== undefined || expiresAt !== undefined)) {
    errors.push(
      new UserError(`only a consent has a notice and an end, and this is a request of kind ${kind}`, { key: "notice" }),
    );
  }
  if (kind === "consent" && purposes.length === 0) {
    errors.push(
      new UserError("a consent is given for a purpose (GDPR article 6(1)(a)); name one", { key: "purposes" }),
    );
  }
  if (purposes.some((purpose) => !PURPOSE.test(purpose))) {
    errors.push(
      new UserError("a purpose is a word of lower-case letters, digits and underscores, as in marketing", {
        key: "purposes",
      }),
    );
  }
  if (expiresAt !== undefined && !(Date.parse(expiresAt) > Date.now())) {
    errors.push(new UserError("must be a time that is still to come, in ISO 8601", { key: "expires" }));
  }
  if (agent !== undefined && (agent.trim() === "" || agent.length > MOST_OF_AGENT)) {
    errors.push(
      new UserError(`names who asks for the person, in ${MOST_OF_AGENT} characters at the most`, { key: "agent" }),
    );
  }
  const fields = Object.keys(values).toSorted();
  if (kind !== "correction" && fields.length > 0) {
    errors.push(
      new UserError(`a request of kind ${kind} corrects nothing; make it one of kind correction`, { key: "values" }),
    );
  }
  if (kind === "correction") errors.push(...wrongValues(project, values));
  if (errors.length > 0) throw new UserErrors(errors);
  return {
    ...(purposes.length > 0 && { purposes: [...new Set(purposes)].toSorted() }),
    ...(isLifted !== undefined && { isLifted }),
    ...(noticeVersion !== undefined && { noticeVersion }),
    ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt).toISOString() }),
    ...(fields.length > 0 && { fields }),
    ...(agent !== undefined && { isByAgent: true as const }),
  };
}

/** What can't be corrected: fields that no schema declares or by which records are told apart, and values that can't be of their field. */
function wrongValues(project: Project, values: Record<string, string | null>): UserError[] {
  if (Object.keys(values).length === 0) {
    return [
      new UserError("a correction names what is wrong; give source.stream.field and the right value", {
        key: "values",
      }),
    ];
  }
  return Object.entries(values).flatMap(([name, value]) => {
    const [source, stream, ...rest] = name.split(".");
    const declared = project.sources.find((each) => each.name === source)?.streams.find((each) => each.name === stream);
    const field = rest.join(".");
    if (!declared || !Object.hasOwn(declared.schema.properties, field)) {
      return [
        new UserError("is no field of a stream here; write source.stream.field as in the schemas", { key: name }),
      ];
    }
    if (declared.key?.includes(field)) {
      return [
        new UserError("is the key by which the source tells its records apart, so another value is another record", {
          key: name,
        }),
      ];
    }
    try {
      readRightValue(planStream(declared, false, { kinds: [], defaultCountry: null, ageOfConsent: 0 }), field, value);
      return [];
    } catch (error) {
      if (error instanceof UserError) return [error];
      throw error;
    }
  });
}

/** Crockford's base 32: no letter that is taken for another. */
const LETTERS = "0123456789abcdefghjkmnpqrstvwxyz";

/** 125 bits, in five groups that can be read out. */
function makePassphrase(): string {
  const letters = Array.from(randomBytes(25), (byte) => LETTERS[byte % 32] as string).join("");
  return (letters.match(/.{5}/g) as string[]).join("-");
}
