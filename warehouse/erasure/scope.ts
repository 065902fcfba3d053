import type pg from "pg";
import { foldedKind, foldEmail } from "../../privacy/fold-email.ts";
import type { Naming } from "../../privacy/tokens.ts";
import type { Sought } from "../requests/subject.ts";
import type { Vault } from "../vault.ts";

/** Everything that is known to be one person's, for the memory of who erases and, sealed, for the request. */
export interface Scope {
  /** Those whose values the vault has or the person gave. */
  identifiers: Sought[];
  /** All tokens, match keys included. */
  tokens: string[];
  /** Ids of the person, those that were merged into it included. */
  customers: string[];
  /** How many of the identifiers that were given are shared by many or blocked: these stand for nobody. */
  shared: number;
}

/**
 * The person's whole cluster: the identifiers that were given, every spelling of their mailboxes, whoever holds one of
 * them by identity resolution, and all identifiers and former ids of those, until nothing is added. Shared and blocked
 * identifiers are nobody's, so they are left alone.
 */
export async function resolveScope(
  client: pg.ClientBase | pg.Pool,
  vault: Vault,
  sought: readonly Sought[],
): Promise<Scope> {
  const { naming } = vault;
  await vault.followTokenKey(client);
  const known = new Map<string, Sought>();
  const formerly = new Map<string, Sought>();
  for (const each of sought) {
    known.set(naming.token(each.kind, each.canonical), each);
    const former = naming.formerToken(each.kind, each.canonical);
    if (former !== null) formerly.set(former, each);
  }
  for (const former of await waitingFor(client, [...formerly.keys()]))
    known.set(former, formerly.get(former) as Sought);
  const hasPeople = await isBuilt(client);
  const isCorrected = hasPeople && (await hasCorrections(client));
  const shared = hasPeople ? await findHidden(client, [...known.keys()]) : new Set<string>();
  const tokens = new Set([...known.keys()].filter((token) => !shared.has(token)));
  const customers = new Set<string>();
  const mailboxes = sought.filter((each) => each.canonical.includes("@")).map((each) => foldedToken(naming, each));
  for (let before = -1; before !== tokens.size + customers.size;) {
    before = tokens.size + customers.size;
    if (hasPeople) {
      const { rows } = await client.query<{ customer_id: string }>(
        `select distinct customer_id from core.identifiers where token = any($1) and customer_id <> ops.nobody()`,
        [[...tokens]],
      );
      for (const { customer_id } of rows) customers.add(customer_id);
      const { rows: held } = await client.query<{ token: string }>(
        "select token from core.identifiers where customer_id = any($1::uuid[]) and not is_shared and not is_blocked",
        [[...customers]],
      );
      for (const { token } of held) tokens.add(token);
      if (isCorrected) {
        for (const id of await findByFormer(client, [...tokens])) customers.add(id);
        for (const token of await findCorrected(client, [...customers])) tokens.add(token);
      }
    }
    const { rows } = await client.query<{ token: string }>(
      // One array, not two conditions: with an "or" all identifiers were read for each person, 60 ms of 250,000.
      `select token from vault.identifiers where folded_token = any($2::text[] || array(
         select folded_token from vault.identifiers where token = any($1) and folded_token is not null))`,
      [[...tokens], mailboxes],
    );
    const spellings = rows.map(({ token }) => token).filter((token) => !tokens.has(token));
    const hidden = hasPeople && spellings.length > 0 ? await findHidden(client, spellings) : new Set<string>();
    for (const token of spellings) if (!hidden.has(token)) tokens.add(token);
  }
  if (hasPeople) {
    const { rows } = await client.query<{ id: string }>(
      "select former_customer_id as id from core.merged_people where customer_id = any($1::uuid[])",
      [[...customers]],
    );
    for (const { id } of rows) customers.add(id);
  }
  const identifiers = [...new Set([...known].filter(([token]) => tokens.has(token)).map(([, each]) => each))];
  const rest = [...tokens].filter((token) => !known.has(token));
  for (const [token, { canonical }] of await vault.openIdentifiers(client as pg.ClientBase, rest)) {
    identifiers.push({ kind: kindOf(token), canonical });
  }
  return { identifiers, tokens: [...tokens], customers: [...customers], shared: shared.size };
}

/** Those that share nobody with an earlier one, so that each row that is found has one whose it is. */
export function withoutOverlap(scopes: ReadonlyMap<string, Scope>): Map<string, Scope> {
  const taken = new Set<string>();
  return new Map(
    [...scopes].filter(([, { tokens, customers }]) => {
      const own = [...tokens, ...customers];
      if (own.some((each) => taken.has(each))) return false;
      for (const each of own) taken.add(each);
      return true;
    }),
  );
}

/** A token's kind is what stands before its last underscore. */
function kindOf(token: string): string {
  return token.slice(0, token.lastIndexOf("_"));
}

/** Those by which something was noted, under the key before, of identifiers that have not landed since. */
async function waitingFor(client: pg.ClientBase | pg.Pool, former: string[]): Promise<string[]> {
  if (former.length === 0) return [];
  const { rows } = await (client as pg.Pool).query<{ former: string }>(
    "select former from vault.token_changes where token is null and former = any($1)",
    [former],
  );
  return rows.map((row) => row.former);
}

function foldedToken(naming: Naming, { kind, canonical }: Sought): string {
  return naming.token(foldedKind(kind), foldEmail(canonical));
}

async function isBuilt(client: pg.ClientBase | pg.Pool): Promise<boolean> {
  const { rows } = await client.query<{ is_built: boolean }>(
    "select to_regclass('core.identifiers') is not null and to_regclass('core.merged_people') is not null as is_built",
  );
  return rows[0]?.is_built ?? false;
}

async function hasCorrections(client: pg.ClientBase | pg.Pool): Promise<boolean> {
  const { rows } = await client.query<{ has: boolean }>(
    "select to_regclass('core.record_owners') is not null and exists (select from privacy.corrections) as has",
  );
  return rows[0]?.has ?? false;
}

/** Who has had an identifier replaced by which they asked, as long as nobody else has it. */
async function findByFormer(client: pg.ClientBase | pg.Pool, tokens: string[]): Promise<string[]> {
  const { rows } = await (client as pg.Pool).query<{ id: string }>(
    `select distinct o.customer_id as id
     from privacy.corrections as c join core.record_owners as o using (record_key)
     where exists (select from unnest(c.asked_as) as asked (token)
       where asked.token = any($1) and not exists (select from core.identifiers as i where i.token = asked.token))`,
    [tokens],
  );
  return rows.map(({ id }) => id);
}

/**
 * What corrections of the people's records have put in an identifier's place, what the source goes on to send and what was
 * asked by, unless it is somebody else's: a wrong address may be another person's right one.
 */
async function findCorrected(client: pg.ClientBase | pg.Pool, customers: string[]): Promise<string[]> {
  const { rows } = await (client as pg.Pool).query<{ token: string }>(
    `select distinct own.token
     from privacy.corrections as c join core.record_owners as o using (record_key)
       cross join lateral unnest(c.value_identifiers || c.asked_as) as own (token)
     where o.customer_id = any($1::uuid[]) and not exists (
       select from core.identifiers as i where i.token = own.token
         and (i.is_shared or i.is_blocked or i.customer_id <> all($1::uuid[])))`,
    [customers],
  );
  return rows.map(({ token }) => token);
}

async function findHidden(client: pg.ClientBase | pg.Pool, tokens: string[]): Promise<Set<string>> {
  const { rows } = await client.query<{ token: string }>(
    "select token from core.identifiers where token = any($1) and (is_shared or is_blocked)",
    [tokens],
  );
  return new Set(rows.map(({ token }) => token));
}
