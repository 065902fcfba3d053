import { foldedKind, foldEmail } from "../../privacy/fold-email.ts";
import { keepRemains } from "../../privacy/remains.ts";
import { matchKeyText } from "../../privacy/match-key.ts";
import { normaliseIdentifier } from "../../privacy/normalise.ts";
import { scrubJson } from "../../privacy/scrub-json.ts";
import { scrub, type Replace } from "../../privacy/scrubber.ts";
import { seal } from "../../privacy/sealing.ts";
import { namesPhoneInJson } from "../../privacy/suspicion.ts";
import type { Naming } from "../../privacy/tokens.ts";
import { parseJson } from "../../domain/json.ts";
import type { PersonalKind } from "../../domain/streams.ts";
import type { Identifier } from "../vault.ts";
import type { FieldPlan, StreamPlan } from "./plan.ts";
import { referencedKey, type Prepared } from "./record.ts";
import { canonicalJson } from "./json-text.ts";
import type { Suppressions } from "./suppressions.ts";

/** A record without plaintext, but for what waits to be sealed. */
export interface Tokenised {
  prepared: Prepared;
  /** Text of each of the plan's columns, in their order. */
  columns: (string | null)[];
  /** The strongest identifier of the record, under whose key the rest is sealed; null: the stream's key. */
  ownerToken: string | null;
  /** JSON of the personal and undeclared fields, or null where there are none. */
  secret: string | null;
}

/** An identifier's field as it was read before: its token, or null where the value can't be one, and its remains. */
interface Known {
  token: string | null;
  canonical: string | null;
  remains: (string | null)[];
  /** Whether it is an erased person's. */
  isErased: boolean;
  /** Whether it is among the identifiers that a record brings which may land. */
  isFound: boolean;
}

/**
 * Makes tokenised records of a page's: identifiers become tokens, remains stay, other personal fields are set apart.
 * What repeats in a page (events of one visit) is normalised and named once.
 */
export class Tokeniser {
  /** By token, the identifiers found so far. */
  readonly identifiers = new Map<string, Identifier>();
  readonly #plan: StreamPlan;
  readonly #naming: Naming;
  readonly #suppressions: Suppressions | null;
  /** By field, by value. */
  readonly #known: Map<string, Known>[];

  /** @param suppressions identifiers that are not let in; null: nobody was erased yet */
  constructor(plan: StreamPlan, naming: Naming, suppressions: Suppressions | null = null) {
    this.#plan = plan;
    this.#naming = naming;
    this.#suppressions = suppressions;
    this.#known = plan.fields.map(() => new Map());
  }

  /** Whether a record's own fields name an erased person, and the tokens of the others whom they name. */
  identify(prepared: Prepared): { isErased: boolean; others: string[] } {
    const result = { isErased: false, others: [] as string[] };
    const { values } = prepared;
    for (const [index, field] of this.#plan.fields.entries()) {
      const text = values[index] ?? null;
      const { personal, identifier } = field.schema;
      if (!personal || !identifier || text === null) continue;
      const { token, isErased } = this.#identifier(index, field, personal, identifier, text);
      if (isErased) result.isErased = true;
      else if (token !== null) result.others.push(token);
    }
    return result;
  }

  /** Keys of the records that a record refers to. */
  parents(prepared: Prepared): string[] {
    return this.#plan.references.flatMap(
      ({ reference, fields }) => referencedKey(this.#plan, this.#naming, reference.stream, fields, prepared) ?? [],
    );
  }

  /**
   * A fact without its person: open fields, and the records that it refers to.
   * @param dropped open columns that lead back to the person, which go too
   */
  strip(prepared: Prepared, dropped: readonly string[]): Tokenised {
    const { columns } = this.tokenise({ ...prepared, undeclared: null, values: this.#openValues(prepared) });
    const names = this.#plan.columns.map(({ name }) => name);
    return {
      prepared,
      columns: columns.map((text, index) => (dropped.includes(names[index] as string) ? null : text)),
      ownerToken: null,
      secret: null,
    };
  }

  #openValues({ values }: Prepared): (string | null)[] {
    return values.map((text, index) => (this.#plan.fields[index]?.schema.personal ? null : text));
  }

  tokenise(prepared: Prepared): Tokenised {
    const plan = this.#plan;
    const { values } = prepared;
    const columns: (string | null)[] = [];
    let personal: Record<string, unknown> | null = null;
    let ownerToken: string | null = null;
    let ownerRank = Number.POSITIVE_INFINITY;
    for (let index = 0; index < plan.fields.length; index += 1) {
      const field = plan.fields[index] as FieldPlan;
      const text = values[index] ?? null;
      const { personal: kind, identifier } = field.schema;
      if (!kind) {
        columns.push(text === null ? null : openText(plan, field, text, this.#replace));
        continue;
      }
      let token: string | null = null;
      if (identifier && text !== null) {
        const known = this.#identifier(index, field, kind, identifier, text);
        if (known.isErased) {
          columns.push(null, ...known.remains.map(() => null));
          continue;
        }
        token = known.token;
        if (known.token !== null && !known.isFound) {
          this.#find(known.token, identifier, known.canonical as string, kind === "email");
          known.isFound = true;
        }
        columns.push(token);
        for (const remain of known.remains) columns.push(remain);
        const rank = plan.kindOrder.get(identifier) ?? plan.kindOrder.size;
        if (token !== null && rank < ownerRank) [ownerToken, ownerRank] = [token, rank];
      } else {
        if (identifier) columns.push(null);
        columns.push(...keepRemains(field.schema, text, null, plan));
      }
      // An identifier whose value can't be one (an e-mail without @) has no token, so it must be sealed not to be lost.
      if (text !== null && token === null) (personal ??= {})[field.name] = text;
    }
    for (const { name, parts } of plan.matchKeys) {
      // What an erased identifier is part of is not made of the rest alone.
      const isOfErased = parts.some((part) => part.some(({ index }) => this.#isErased(index, values)));
      const text = isOfErased ? null : matchKeyText(parts, (index) => values[index] ?? null, plan.defaultCountry);
      columns.push(text === null ? null : this.#naming.token(name, text));
    }
    for (const { reference, fields } of plan.references) {
      columns.push(referencedKey(plan, this.#naming, reference.stream, fields, prepared));
    }
    return { prepared, columns, ownerToken, secret: secretOf(personal, prepared.undeclared) };
  }

  #identifier(index: number, field: FieldPlan, kind: PersonalKind, identifier: string, text: string): Known {
    const values = this.#known[index] as Map<string, Known>;
    let known = values.get(text);
    if (!known) {
      const canonical = normaliseIdentifier(kind, text, this.#plan.defaultCountry);
      const isErased =
        canonical !== null && (this.#suppressions?.has(identifier, canonical, kind === "email") ?? false);
      known = {
        token: canonical === null ? null : this.#naming.token(identifier, canonical),
        canonical,
        remains: keepRemains(field.schema, text, canonical, this.#plan),
        isErased,
        isFound: false,
      };
      values.set(text, known);
    }
    return known;
  }

  #isErased(index: number, values: readonly (string | null)[]): boolean {
    const text = values[index] ?? null;
    return text !== null && (this.#known[index]?.get(text)?.isErased ?? false);
  }

  readonly #replace: Replace = (kind, canonical) =>
    this.#suppressions?.has(kind, canonical, kind === "email") ? "(erased)" : this.#findInText(kind, canonical);

  #findInText(kind: "email" | "phone", canonical: string): string {
    const token = this.#naming.token(kind, canonical);
    this.#find(token, kind, canonical, kind === "email");
    return token;
  }

  #find(token: string, kind: string, canonical: string, isEmail: boolean): void {
    if (this.identifiers.has(token)) return;
    const foldedToken = isEmail ? this.#naming.token(foldedKind(kind), foldEmail(canonical)) : null;
    this.identifiers.set(token, { kind, canonical, foldedToken });
  }
}

/** The identifiers under whose keys something of the records is to be sealed. */
export function sealingTokens(rows: readonly Pick<Tokenised, "ownerToken" | "secret">[]): Set<string> {
  return new Set(
    rows.flatMap(({ ownerToken, secret }) => (ownerToken === null || secret === null ? [] : [ownerToken])),
  );
}

/** Seals what was set apart, bound to its row; `key` may be null where nothing was. */
export function sealSecret(
  plan: StreamPlan,
  row: Pick<Tokenised, "prepared" | "secret">,
  key: Buffer | null,
): Buffer | null {
  return row.secret === null
    ? null
    : seal(key as Buffer, rowIdentity(plan.table, row.prepared.recordKey, row.prepared.contentHash), row.secret);
}

/** What a sealed column is bound to: moved to another row or version, it does not open. */
export function rowIdentity(table: string, recordKey: string, contentHash: string): string {
  return `raw.${table}:${recordKey}:${contentHash}`;
}

function secretOf(personal: Record<string, unknown> | null, undeclared: Prepared["undeclared"]): string | null {
  if (personal === null && undeclared === null) return null;
  const secret: Record<string, unknown> = {};
  if (personal !== null) secret["personal"] = personal;
  if (undeclared !== null) secret["undeclared"] = undeclared;
  return canonicalJson(secret);
}

/** Open text, with the e-mail addresses and phone numbers in it replaced by tokens. */
function openText({ defaultCountry }: StreamPlan, field: FieldPlan, text: string, replace: Replace): string {
  const { name, type } = field;
  if (type.sql === "text") return scrub(text, replace, field.scrubbing);
  if (type.sql !== "jsonb") return text;
  // Scrubbing the JSON text itself could break an escape, so its strings are scrubbed one by one.
  // A number far from the key that tells of it (`"phone": { "number": … }`) is seen there alone.
  if (!namesPhoneInJson(text) && scrub(text, () => "found", { defaultCountry }) === text) return text;
  const value = parseJson(text);
  const scrubbed = canonicalJson(scrubJson(value, replace, defaultCountry, name));
  // What nothing was found in stays as it is written: a row read again is the same then.
  return scrubbed === canonicalJson(value) ? text : (scrubbed as string);
}
