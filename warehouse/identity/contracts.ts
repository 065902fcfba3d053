import { quoteName } from "../database.ts";
import type { ComputeContext } from "../models/relation.ts";

/** Contracts whose records carry identifiers or refer to a record that does, and when such a record happened. */
export const CONTRACTS: Record<string, string | null> = {
  "core.consents": "occurred_at",
  "core.customers": "registered_at",
  "core.events": "occurred_at",
  "core.order_lines": null,
  "core.orders": "ordered_at",
  "core.reviews": "reviewed_at",
  "core.tickets": "opened_at",
};

/** What of a contract matters to identity. All names are quoted. */
export interface ContractColumns {
  relation: string;
  /** Where to read it. */
  from: string;
  /** `customer_ref`, and every text column whose name ends in `_token`. */
  tokens: string[];
  /** The column that says when the record happened. */
  time: string | null;
  /** Whether its records refer to an order. */
  refersToOrder: boolean;
  /** How large it is. */
  bytes: number;
  /** The columns whose change can change who is who, unquoted. */
  telling: string[];
}

/** Reads which columns each contract has. */
export async function readContracts({
  client,
  input,
}: Pick<ComputeContext, "client" | "input">): Promise<ContractColumns[]> {
  const relations = Object.keys(CONTRACTS);
  const { rows } = await client.query<{ position: number; name: string; type: string; bytes: number }>(
    `select r.position::int - 1 as position, a.attname as name, a.atttypid::regtype::text as type,
       pg_relation_size(a.attrelid)::float8 as bytes
     from unnest($1::text[]) with ordinality as r (relation, position)
     join pg_attribute as a on a.attrelid = r.relation::regclass
     where a.attnum > 0 and not a.attisdropped order by r.position, a.attnum`,
    [relations.map((relation) => input(relation))],
  );
  return relations.map((relation, position) => {
    const columns = new Map(rows.filter((row) => row.position === position).map(({ name, type }) => [name, type]));
    const time = CONTRACTS[relation]!;
    const hasTime = time !== null && columns.has(time);
    const refersToOrder = columns.get("order_record_key") === "uuid";
    const tokens = [...columns].flatMap(([name, type]) =>
      type === "text" && (name === "customer_ref" || name.endsWith("_token")) ? [name] : [],
    );
    return {
      relation,
      from: input(relation),
      tokens: tokens.map((name) => quoteName(name)),
      time: hasTime ? quoteName(time) : null,
      refersToOrder,
      bytes: rows.find((row) => row.position === position)?.bytes ?? 0,
      telling: [...tokens, ...(hasTime ? [time] : []), ...(refersToOrder ? ["order_record_key"] : [])],
    };
  });
}
