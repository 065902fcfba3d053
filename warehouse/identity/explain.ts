import type { ClientBase, Pool } from "pg";
import { UserError } from "../../domain/errors.ts";
import type { IdentityRules } from "../../domain/project.ts";

/** One link of the chain that makes two identifiers one person's. */
export interface ChainLink {
  strongerToken: string;
  weakerToken: string;
  /** Null for a merge by hand. */
  recordKey: string | null;
}

export interface Conflict {
  reason: "limit" | "window" | "split";
  limitKind: string | null;
  personLimit: number | null;
  strongerToken: string;
  weakerToken: string;
  recordKey: string | null;
  customerId: string;
  otherCustomerId: string;
}

/**
 * Why two identifiers are one customer's: the chain of links from one to the other. The links that merged form a tree,
 * so there is one chain.
 * @param pair tokens of two of the customer's identifiers; without them, all links that made the customer one
 */
export async function explainCustomer(
  pool: Pool,
  rules: IdentityRules,
  customerId: string,
  pair: readonly [string, string] | null,
): Promise<{ customerId: string; anchorToken: string; links: ChainLink[] }> {
  const person = await findCustomer(pool, customerId);
  const links = await readLinks(pool, rules, person.customerId);
  if (!pair) return { ...person, links };
  const { rows: own } = await pool.query<{ token: string }>(
    "select token from core.identifiers where customer_id = $1 and token = any($2)",
    [person.customerId, pair],
  );
  const missing = pair.find((token) => !own.some((identifier) => identifier.token === token));
  if (missing !== undefined) {
    throw new UserError(
      `${missing.slice(0, 80)} is no identifier of customer ${person.customerId}; "miette identity graph ${person.customerId}" lists them.`,
    );
  }
  return { ...person, links: chain(links, pair[0], pair[1]) };
}

/** The links that made a customer one, the strongest first. */
export async function readLinks(
  client: Pick<ClientBase, "query">,
  rules: IdentityRules,
  customerId: string,
): Promise<ChainLink[]> {
  const { rows } = await client.query<{
    token: string;
    kind: string;
    linkedToken: string | null;
    recordKey: string | null;
  }>(
    `select token, kind, linked_token as "linkedToken", linked_record_key as "recordKey" from core.identifiers
     where customer_id = $1`,
    [customerId],
  );
  const strength = strengthOf(rules, new Map(rows.map(({ token, kind }) => [token, kind])));
  return rows
    .flatMap(({ token, linkedToken, recordKey }) => {
      if (linkedToken === null) return [];
      const [strongerToken, weakerToken] = [token, linkedToken].sort(strength) as [string, string];
      return [{ strongerToken, weakerToken, recordKey }];
    })
    .sort((a, b) => strength(a.strongerToken, b.strongerToken) || strength(a.weakerToken, b.weakerToken));
}

/** Orders tokens as identity resolution does: by the priority of their kind, then by themselves. */
export function strengthOf(rules: IdentityRules, kinds: ReadonlyMap<string, string>): (a: string, b: string) => number {
  const priority = new Map(rules.identifiers.map(({ kind }, index) => [kind, index]));
  const rank = (token: string) => priority.get(kinds.get(token) ?? "") ?? priority.size;
  return (a, b) => rank(a) - rank(b) || (a < b ? -1 : Number(a > b));
}

/** A customer, also by an id that was merged into another. Throws UserError where there is none. */
export async function findCustomer(
  pool: Pool,
  customerId: string,
): Promise<{ customerId: string; anchorToken: string }> {
  const isUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(customerId);
  const { rows } = isUuid
    ? await pool.query<{ customerId: string; anchorToken: string }>(
        `select customer_id as "customerId", anchor_token as "anchorToken" from core.people
         where anchor_token is not null and customer_id = coalesce(
           (select customer_id from core.merged_people where former_customer_id = $1), $1)`,
        [customerId],
      )
    : { rows: [] };
  if (rows[0]) return rows[0];
  throw new UserError(`there is no customer ${customerId.slice(0, 80)}; mart.dim_customers has those there are.`);
}

/** Refused links, the most frequent limit first. */
export async function readConflicts(pool: Pool, limit: number): Promise<{ total: number; conflicts: Conflict[] }> {
  const { rows: counted } = await pool.query<{ total: number }>(
    "select count(*)::float8 as total from core.identity_conflicts",
  );
  const { rows } = await pool.query<Conflict>(
    `select reason, limit_kind as "limitKind", person_limit as "personLimit", stronger_token as "strongerToken",
       weaker_token as "weakerToken", record_key as "recordKey", customer_id as "customerId",
       other_customer_id as "otherCustomerId"
     from core.identity_conflicts
     order by count(*) over (partition by reason, limit_kind) desc, reason, limit_kind, stronger_token, weaker_token
     limit $1`,
    [limit],
  );
  return { total: counted[0]?.total ?? 0, conflicts: rows };
}

/** The way through a tree, breadth first. */
function chain(links: readonly ChainLink[], from: string, to: string): ChainLink[] {
  const around = new Map<string, ChainLink[]>();
  for (const link of links) {
    for (const token of [link.strongerToken, link.weakerToken]) around.set(token, [...(around.get(token) ?? []), link]);
  }
  const cameBy = new Map<string, ChainLink | null>([[from, null]]);
  const queue = [from];
  for (let token = queue.shift(); token !== undefined && token !== to; token = queue.shift()) {
    for (const link of around.get(token) ?? []) {
      const next = otherEnd(link, token);
      if (cameBy.has(next)) continue;
      cameBy.set(next, link);
      queue.push(next);
    }
  }
  const way: ChainLink[] = [];
  let token = to;
  for (let link = cameBy.get(token); link; link = cameBy.get(token)) {
    way.unshift(link);
    token = otherEnd(link, token);
  }
  return way;
}

function otherEnd({ strongerToken, weakerToken }: ChainLink, token: string): string {
  return strongerToken === token ? weakerToken : strongerToken;
}
