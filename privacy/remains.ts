import type { FieldSchema, PersonalKind } from "../domain/streams.ts";
import { phoneCountry } from "./normalise.ts";
import { sentiment } from "./sentiment.ts";

type Remain = { type: string; of(value: string, canonical: string | null): string | null };

/**
 * What may stay readable of a personal field, by kind: not personal by itself, useful in SQL.
 * `value` is the field's text, `canonical` the normalised identifier where it has one.
 */
const REMAINS: Partial<Record<PersonalKind, Record<string, Remain>>> = {
  email: { domain: { type: "text", of: (_, canonical) => canonical?.slice(canonical.lastIndexOf("@") + 1) ?? null } },
  phone: { country: { type: "text", of: (_, canonical) => (canonical === null ? null : phoneCountry(canonical)) } },
  birth_date: { year: { type: "integer", of: (value) => /^\d{4}/.exec(value)?.[0] ?? null } },
  postal_code: {
    area: {
      type: "text",
      of: (value) =>
        value
          .normalize("NFKC")
          .replace(/[^\p{L}\p{N}]/gu, "")
          .slice(0, 2) || null,
    },
  },
  ip: { prefix: { type: "text", of: (value) => ipPrefix(value.trim()) } },
  free_text: {
    length: { type: "integer", of: (value) => String([...value].length) },
    sentiment: { type: "numeric", of: (value) => sentiment(value)?.toString() ?? null },
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

/** The remains of one value, in the order of the field's `keep`. */
export function keepRemains(schema: FieldSchema, value: string | null, canonical: string | null): (string | null)[] {
  return remains(schema).map(([, remain]) => (value === null ? null : remain.of(value, canonical)));
}

function remains(schema: FieldSchema): [string, Remain][] {
  const offered = schema.personal ? (REMAINS[schema.personal] ?? {}) : {};
  return (schema.keep ?? []).flatMap((name): [string, Remain][] => (offered[name] ? [[name, offered[name]]] : []));
}

/** The /24 of an IPv4 address, the /48 of an IPv6 address. */
function ipPrefix(address: string): string | null {
  const v4 = /^(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/.exec(address);
  if (v4) return `${v4[1]}.0/24`;
  if (!/^[0-9a-f:]+$/i.test(address) || !address.includes(":")) return null;
  const [head = ""] = address.split("::");
  const groups = head.split(":").filter(Boolean).slice(0, 3);
  while (groups.length < 3) groups.push("0");
  return `${groups.join(":").toLowerCase()}::/48`;
}
