import { foldedKind, foldEmail } from "../../privacy/fold-email.ts";
import { keepRemains } from "../../privacy/remains.ts";
import { normaliseIdentifier, normaliseMatchPart } from "../../privacy/normalise.ts";
import { scrubJson } from "../../privacy/scrub-json.ts";
import { scrub, type Replace } from "../../privacy/scrubber.ts";
import { seal } from "../../privacy/sealing.ts";
import type { Naming } from "../../privacy/tokens.ts";
import { parseJson } from "../../domain/json.ts";
import type { Identifier } from "../vault.ts";
import type { FieldPlan, StreamPlan } from "./plan.ts";
import { referencedKey, type Prepared } from "./record.ts";
import { canonicalJson } from "./json-text.ts";

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

/** Replaces identifiers by tokens, keeps the remains, and sets the other personal fields apart. */
export function tokenise(
  plan: StreamPlan,
  naming: Naming,
  prepared: Prepared,
  found: Map<string, Identifier>,
): Tokenised {
  const columns: (string | null)[] = [];
  const personal: Record<string, unknown> = {};
  let owner: { token: string; rank: number } | null = null;
  const remember = (kind: string, canonical: string, isEmail = kind === "email"): string => {
    const token = naming.token(kind, canonical);
    if (!found.has(token)) {
      found.set(token, {
        kind,
        canonical,
        foldedToken: isEmail ? naming.token(foldedKind(kind), foldEmail(canonical)) : null,
      });
    }
    return token;
  };
  for (const [index, field] of plan.fields.entries()) {
    const text = prepared.values[index] ?? null;
    const { personal: kind, identifier } = field.schema;
    if (!kind) {
      columns.push(text === null ? null : openText(plan, field, text, remember));
      continue;
    }
    const canonical = identifier && text !== null ? normaliseIdentifier(kind, text, plan.defaultCountry) : null;
    if (identifier) {
      const token = canonical === null ? null : remember(identifier, canonical, kind === "email");
      columns.push(token);
      const rank = plan.kindOrder.get(identifier) ?? plan.kindOrder.size;
      if (token !== null && (owner === null || rank < owner.rank)) owner = { token, rank };
    }
    // An identifier whose value can't be one (an e-mail without @) has no token, so it must be sealed not to be lost.
    if (text !== null && canonical === null) personal[field.name] = text;
    columns.push(...keepRemains(field.schema, text, canonical, plan));
  }
  for (const { name, fields } of plan.matchKeys) {
    const parts = fields.map((index) =>
      normaliseMatchPart(plan.fields[index]?.schema.personal, prepared.values[index] ?? "", plan.defaultCountry),
    );
    columns.push(parts.includes("") ? null : naming.token(name, parts.join("\0")));
  }
  for (const { reference, fields } of plan.references) {
    columns.push(referencedKey(plan, naming, reference.stream, fields, prepared));
  }
  return { prepared, columns, ownerToken: owner?.token ?? null, secret: secretOf(personal, prepared) };
}

/** Seals what was set apart, bound to its row. */
export function sealSecret(plan: StreamPlan, row: Tokenised, key: Buffer): Buffer | null {
  return row.secret === null
    ? null
    : seal(key, rowIdentity(plan.table, row.prepared.recordKey, row.prepared.contentHash), row.secret);
}

/** What a sealed column is bound to: moved to another row or version, it does not open. */
export function rowIdentity(table: string, recordKey: string, contentHash: string): string {
  return `raw.${table}:${recordKey}:${contentHash}`;
}

function secretOf(personal: Record<string, unknown>, { undeclared, source }: Prepared): string | null {
  const isPersonal = Object.keys(personal).length > 0;
  if (!isPersonal && undeclared.length === 0) return null;
  const secret: Record<string, unknown> = {};
  if (isPersonal) secret["personal"] = personal;
  if (undeclared.length > 0) secret["undeclared"] = Object.fromEntries(undeclared.map((name) => [name, source[name]]));
  return canonicalJson(secret);
}

/** Open text, with the e-mail addresses and phone numbers in it replaced by tokens. */
function openText({ defaultCountry }: StreamPlan, { name, type }: FieldPlan, text: string, replace: Replace): string {
  if (type.sql === "text") return scrub(text, replace, { defaultCountry, key: name });
  if (type.sql !== "jsonb") return text;
  // Scrubbing the JSON text itself could break an escape, so its strings are scrubbed one by one.
  if (scrub(text, () => "found", { defaultCountry }) === text) return text;
  return canonicalJson(scrubJson(parseJson(text), replace, defaultCountry, name)) as string;
}
