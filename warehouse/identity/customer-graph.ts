import type { Pool } from "pg";
import type { IdentityRules } from "../../domain/project.ts";
import { quoteRelation } from "../models/build.ts";
import { readContracts } from "./contracts.ts";
import { readLinks, strengthOf } from "./explain.ts";

/** One customer: the identifiers, and the links between them with the records and dates behind them. */
export interface CustomerGraph {
  customerId: string;
  isAnonymous: boolean;
  /** Ids that were merged into this customer's. */
  formerIds: string[];
  identifiers: GraphIdentifier[];
  links: GraphLink[];
  /** How many records are the customer's, those included that only refer to an order. */
  records: number;
}

export interface GraphIdentifier {
  token: string;
  kind: string;
  isAnchor: boolean;
  /** Shared or blocked: on the customer's records, and nobody's. */
  isHidden: boolean;
  sources: string[];
  /** ISO 8601, or null where no record says. */
  firstSeenAt: string | null;
  lastSeenAt: string | null;
}

export interface GraphLink {
  strongerToken: string;
  weakerToken: string;
  /** `merge`: it made two people one; `confirms`: both were one already; `refused`: it leads to another customer; `by hand`. */
  role: "merge" | "confirms" | "refused" | "by hand";
  records: number;
  sources: string[];
  firstSeenAt: string | null;
  lastSeenAt: string | null;
  /** Where it was refused: the customer at the other end, and why. */
  otherCustomerId: string | null;
  reason: string | null;
}

interface CustomerRecord {
  source: string | null;
  seenAt: string | null;
  tokens: string[];
}

/**
 * Reads the graph of one customer.
 * @param customerId a customer of `core.people`
 * @returns null where there is no such customer
 */
export async function readCustomerGraph(
  pool: Pool,
  rules: IdentityRules,
  customerId: string,
): Promise<CustomerGraph | null> {
  const client = await pool.connect();
  try {
    await client.query("begin isolation level repeatable read read only");
    const { rows: people } = await client.query<{
      anchor: string;
      isAnonymous: boolean;
      formerIds: string[];
      records: number;
    }>(
      `select anchor_token as anchor, is_anonymous as "isAnonymous",
         array(select former_customer_id::text from core.merged_people as m where m.customer_id = p.customer_id
           order by person_seq) as "formerIds",
         (select count(*)::int from core.record_owners as o where o.customer_id = p.customer_id) as records
       from core.people as p where customer_id = $1 and anchor_token is not null`,
      [customerId],
    );
    const person = people[0];
    if (!person) return null;
    const carried = await readCustomerRecords(client, customerId);
    const { rows: known } = await client.query<{ token: string; kind: string; isHidden: boolean; isOwn: boolean }>(
      `select token, kind, is_shared or is_blocked as "isHidden", customer_id = $1 as "isOwn"
       from core.identifiers where customer_id = $1 or token = any($2)`,
      [customerId, [...new Set(carried.flatMap(({ tokens }) => tokens))]],
    );
    const { rows: refused } = await client.query<{ stronger: string; weaker: string; reason: string; other: string }>(
      `select stronger_token as stronger, weaker_token as weaker, reason,
         case when customer_id = $1 then other_customer_id else customer_id end as other
       from core.identity_conflicts where customer_id = $1 or other_customer_id = $1`,
      [customerId],
    );
    const strength = strengthOf(rules, new Map(known.map(({ token, kind }) => [token, kind])));
    const visible = new Set(known.filter(({ isHidden }) => !isHidden).map(({ token }) => token));
    const links = gatherLinks(carried, visible, strength);
    for (const { strongerToken, weakerToken, recordKey } of await readLinks(client, rules, customerId))
      linkOf(links, strongerToken, weakerToken).role = recordKey === null ? "by hand" : "merge";
    for (const { stronger, weaker, reason, other } of refused) {
      Object.assign(linkOf(links, stronger, weaker), { role: "refused", reason, otherCustomerId: other });
    }
    return {
      customerId,
      isAnonymous: person.isAnonymous,
      formerIds: person.formerIds,
      records: person.records,
      identifiers: known
        .filter(({ isOwn, isHidden }) => isOwn || isHidden)
        .sort((a, b) => strength(a.token, b.token))
        .map(({ token, kind, isHidden }) => ({
          token,
          kind,
          isAnchor: token === person.anchor,
          isHidden,
          ...spanOf(carried.filter(({ tokens }) => tokens.includes(token))),
        })),
      links: [...links.values()].sort(
        (a, b) => strength(a.strongerToken, b.strongerToken) || strength(a.weakerToken, b.weakerToken),
      ),
    };
  } finally {
    await client.query("rollback");
    client.release();
  }
}

/** The customer's own records: what tokens each carries, from where and from when. */
async function readCustomerRecords(
  client: Parameters<typeof readContracts>[0]["client"],
  customerId: string,
): Promise<CustomerRecord[]> {
  const contracts = await readContracts({ client, input: quoteRelation });
  const records: CustomerRecord[] = [];
  for (const { from, tokens, time } of contracts) {
    if (!tokens.length) continue;
    const { rows } = await client.query<CustomerRecord>(
      `select r.source, ${time ? `to_char(r.${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')` : "null"} as "seenAt",
         array_remove(array[${tokens.map((token) => `r.${token}`).join(", ")}], null) as tokens
       from core.record_owners as o join ${from} as r using (record_key)
       where o.customer_id = $1 and num_nonnulls(${tokens.map((token) => `r.${token}`).join(", ")}) > 0`,
      [customerId],
    );
    records.push(...rows);
  }
  return records;
}

function gatherLinks(
  records: readonly CustomerRecord[],
  visible: ReadonlySet<string>,
  strength: (a: string, b: string) => number,
): Map<string, GraphLink> {
  const behind = new Map<GraphLink, CustomerRecord[]>();
  const links = new Map<string, GraphLink>();
  for (const record of records) {
    const [stronger, ...others] = [...new Set(record.tokens)].filter((token) => visible.has(token)).sort(strength);
    for (const weaker of others) {
      const link = linkOf(links, stronger!, weaker);
      behind.set(link, [...(behind.get(link) ?? []), record]);
    }
  }
  for (const [link, causes] of behind) Object.assign(link, spanOf(causes), { records: causes.length });
  return links;
}

function linkOf(links: Map<string, GraphLink>, strongerToken: string, weakerToken: string): GraphLink {
  const name = `${strongerToken} ${weakerToken}`;
  const link: GraphLink = links.get(name) ?? {
    strongerToken,
    weakerToken,
    role: "confirms",
    records: 0,
    sources: [],
    firstSeenAt: null,
    lastSeenAt: null,
    otherCustomerId: null,
    reason: null,
  };
  links.set(name, link);
  return link;
}

function spanOf(records: readonly CustomerRecord[]): Pick<GraphLink, "sources" | "firstSeenAt" | "lastSeenAt"> {
  const times = records.flatMap(({ seenAt }) => seenAt ?? []).toSorted();
  const sources = [...new Set(records.flatMap(({ source }) => source ?? []))].toSorted();
  return { sources, firstSeenAt: times[0] ?? null, lastSeenAt: times.at(-1) ?? null };
}
