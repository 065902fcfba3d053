import type { FieldSchema, PersonalKind } from "../domain/streams.ts";
import { ageBand } from "./age-band.ts";
import { language, loadLanguages } from "./language.ts";
import { normaliseIdentifier, phoneCountry } from "./normalise.ts";
import { sentiment } from "./sentiment.ts";

/** What a project or a source says for all of its records. */
export interface RemainSettings {
  /** ISO 3166-1 alpha-2, for phone numbers without a country code. */
  defaultCountry: string | null;
  /** The age in years below which a person is a minor to the project. */
  ageOfConsent: number;
}

type Remain = { type: string; of(value: string, canonical: string | null, settings: RemainSettings): string | null };

/**
 * What may stay readable of a personal field, by kind: not personal by itself, useful in SQL.
 * `value` is the field's text, `canonical` the normalised identifier where it is one.
 */
const REMAINS: Partial<Record<PersonalKind, Record<string, Remain>>> = {
  email: {
    domain: {
      type: "text",
      of: (value, canonical) => {
        const address = canonical ?? normaliseIdentifier("email", value, null);
        return address?.slice(address.lastIndexOf("@") + 1) ?? null;
      },
    },
  },
  phone: {
    country: {
      type: "text",
      of: (value, canonical, { defaultCountry }) => {
        const number = canonical ?? normaliseIdentifier("phone", value, defaultCountry);
        return number === null ? null : phoneCountry(number);
      },
    },
  },
  birth_date: {
    year: { type: "integer", of: (value) => /^\d{4}/.exec(value)?.[0] ?? null },
    age_band: { type: "text", of: (value, _, { ageOfConsent }) => ageBand(value, ageOfConsent, new Date()) },
  },
  postal_code: {
    area: {
      type: "text",
      of: (value) =>
        value
          .normalize("NFKC")
          .replace(/[^\p{L}\p{N}]/gu, "")
          .toUpperCase()
          .slice(0, 2) || null,
    },
  },
  ip: { prefix: { type: "text", of: (value) => ipPrefix(normaliseIdentifier("ip", value, null)) } },
  free_text: {
    length: { type: "integer", of: (value) => String([...value].length) },
    language: { type: "text", of: (value) => language(value) },
    sentiment: { type: "numeric", of: (value) => sentiment(value)?.toString() ?? null },
  },
  // An IBAN begins with its country; a card's number tells none.
  payment: {
    country: {
      type: "text",
      of: (value) => /^([A-Z]{2})\d{2}[A-Z0-9]{10,30}$/.exec(value.replace(/[\s-]/g, "").toUpperCase())?.[1] ?? null,
    },
  },
};

/** The names of the remains that a personal kind offers, for `keep:`. */
export function remainsOf(kind: PersonalKind): string[] {
  return Object.keys(REMAINS[kind] ?? {});
}

/** The columns that keep a field's remains, in the order of its `keep`: `email_domain`. */
export function remainColumns(column: string, schema: FieldSchema): { name: string; type: string }[] {
  return remains(schema).map(([name, remain]) => ({ name: `${column}_${name}`, type: remain.type }));
}

const NOTHING: (string | null)[] = [];

/** Loads what the remains of these fields are made with; before it has resolved, `keepRemains` may throw. */
export async function loadRemains(schemas: readonly FieldSchema[]): Promise<void> {
  if (schemas.some(({ keep }) => keep?.includes("language"))) await loadLanguages();
}

/** The remains of one value, in the order of the field's `keep`. */
export function keepRemains(
  schema: FieldSchema,
  value: string | null,
  canonical: string | null,
  settings: RemainSettings,
): (string | null)[] {
  if (!schema.keep) return NOTHING;
  return remains(schema).map(([, remain]) => (value === null ? null : remain.of(value, canonical, settings)));
}

/** By schema, as every record asks. */
const known = new WeakMap<FieldSchema, [string, Remain][]>();

function remains(schema: FieldSchema): [string, Remain][] {
  let found = known.get(schema);
  if (!found) known.set(schema, (found = findRemains(schema)));
  return found;
}

function findRemains(schema: FieldSchema): [string, Remain][] {
  const offered = schema.personal ? (REMAINS[schema.personal] ?? {}) : {};
  return (schema.keep ?? []).flatMap((name): [string, Remain][] => (offered[name] ? [[name, offered[name]]] : []));
}

/** The /24 of an IPv4 address, the /48 of an IPv6 address. */
function ipPrefix(address: string | null): string | null {
  if (address === null) return null;
  const v4 = /^(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/.exec(address);
  if (v4) return `${v4[1]}.0/24`;
  const [head = ""] = address.split("::");
  const groups = head.split(":").filter(Boolean).slice(0, 3);
  while (groups.length < 3) groups.push("0");
  return `${normaliseIdentifier("ip", `${groups.join(":")}::`, null)}/48`;
}
