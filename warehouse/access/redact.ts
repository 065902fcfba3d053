import type pg from "pg";
import { rawTableName, type StreamSchema } from "../../domain/streams.ts";
import { scrub } from "../../privacy/scrubber.ts";
import { open } from "../../privacy/sealing.ts";
import { quoteName } from "../database.ts";
import type { Scope } from "../erasure/scope.ts";
import { rowIdentity } from "../landing/seal.ts";
import type { Vault } from "../vault.ts";

/** Stands where another person's data would be. */
export const REDACTED = "(another person)";

const TOKEN = /[a-z][a-z0-9_]*_[0-9a-f]{32}/g;
/** Shorter names are words of every text. */
const LEAST_NAME = 4;
/** People whose names are looked up; a device that is shared by a town is met by addresses and numbers alone. */
const MOST_OTHERS = 200;

/**
 * Decides what of a value is the person's: identifiers of theirs are shown in plain, any other's are not, and addresses,
 * numbers and known names of others are taken out of texts. Counts what it took out.
 */
export class Redactor {
  count = 0;
  readonly #own: ReadonlyMap<string, string>;
  readonly #values: ReadonlySet<string>;
  readonly #names: RegExp | null;
  readonly #defaultCountry: string | null;

  /**
   * @param own the person's tokens with what they stand for
   * @param names of other people
   */
  constructor(own: ReadonlyMap<string, string>, names: readonly string[], defaultCountry: string | null) {
    this.#own = own;
    this.#values = new Set([...own.values()].map((value) => value.toLowerCase()));
    const others = names.filter((name) => name.length >= LEAST_NAME && !this.#values.has(name.toLowerCase()));
    const pattern = others.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    this.#names = others.length > 0 ? new RegExp(`(?<![\\p{L}\\p{N}])(?:${pattern})(?![\\p{L}\\p{N}])`, "giu") : null;
    this.#defaultCountry = defaultCountry;
  }

  isOwn(token: string): boolean {
    return this.#own.has(token);
  }

  /** What an identifier's column holds, in plain. */
  identifier(token: string): string {
    const value = this.#own.get(token);
    if (value === undefined) this.count += 1;
    return value ?? REDACTED;
  }

  /** A value as it may be shown: texts anywhere in it, and the names of its fields, are looked through. */
  value(value: unknown): unknown {
    if (typeof value === "string") return this.text(value);
    if (Array.isArray(value)) return value.map((each) => this.value(each));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [this.text(key), this.value(each)]));
  }

  text(text: string): string {
    const opened = text.replace(TOKEN, (token) => this.identifier(token));
    const scrubbed = scrub(
      opened,
      (_kind, canonical) => {
        if (this.#values.has(canonical.toLowerCase())) return canonical;
        this.count += 1;
        return REDACTED;
      },
      { defaultCountry: this.#defaultCountry },
    );
    if (!this.#names) return scrubbed;
    return scrubbed.replace(this.#names, () => {
      this.count += 1;
      return REDACTED;
    });
  }
}

/** A redactor for the person, who shares records with others: these and their names are found by `subject_rows`. */
export async function makeRedactor(
  client: pg.ClientBase,
  vault: Vault,
  scope: Scope,
  carried: readonly string[],
  defaultCountry: string | null,
): Promise<Redactor> {
  const opened = await vault.openIdentifiers(client, scope.tokens);
  const own = new Map([...opened].map(([token, { canonical }]) => [token, canonical]));
  for (const { kind, canonical } of scope.identifiers) own.set(vault.naming.token(kind, canonical), canonical);
  return new Redactor(own, await namesOfOthers(client, vault, carried), defaultCountry);
}

/** Names in the records of the people who hold some identifiers. */
async function namesOfOthers(client: pg.ClientBase, vault: Vault, tokens: readonly string[]): Promise<string[]> {
  if (tokens.length === 0) return [];
  const { rows: holders } = await client.query<{ token: string }>(
    `select token from core.identifiers where customer_id in (
       select distinct customer_id from core.identifiers where token = any($1) and customer_id <> ops.nobody() limit ${MOST_OTHERS})`,
    [tokens],
  );
  const keys = await vault.openIdentifiers(
    client,
    holders.map(({ token }) => token),
  );
  const { rows: streams } = await client.query<{ source: string; stream: string; schema: StreamSchema }>(
    "select source, stream, schema from ops.streams order by source, stream",
  );
  const names = new Set<string>();
  for (const { source, stream, schema } of streams) {
    const fields = Object.entries(schema.properties).filter(([, field]) => field.personal === "name");
    const table = rawTableName(source, stream);
    const { rows: there } = await client.query<{ has: boolean }>("select to_regclass($1) is not null as has", [
      quoteName("raw", table),
    ]);
    if (fields.length === 0 || !there[0]?.has) continue;
    const { rows } = await client.query<{ key: string; hash: string; sealed: Buffer; owner: string }>(
      `select record_key as key, content_hash as hash, sealed, owner_token as owner from ${quoteName("raw", table)}
       where sealed is not null and owner_token = any($1) limit 10000`,
      [[...keys.keys()]],
    );
    for (const { key, hash, sealed, owner } of rows) {
      const text = open(keys.get(owner)!.key, rowIdentity(table, key, hash), sealed).toString("utf8");
      const { personal = {} } = JSON.parse(text) as { personal?: Record<string, unknown> };
      for (const [field] of fields) if (typeof personal[field] === "string") names.add(personal[field].trim());
    }
  }
  return [...names];
}
