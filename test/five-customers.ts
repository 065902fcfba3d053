import { succeeded, type CommandLine } from "./command.ts";

const jsonl = (records: object[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join("");
const numbers = [1, 2, 3, 4, 5];
/** Data for the project of faults: five people with an order and a visit each. */
export const FIVE_CUSTOMERS = {
  "data/customers.jsonl": jsonl(
    numbers.map((id) => ({ id, email: `c${id}@example.org`, full_name: `Ann ${id}`, country: "FR", revision: 1 })),
  ),
  "data/orders.jsonl": jsonl(
    numbers.map((id) => ({
      id,
      customer_id: id,
      ordered_at: "2026-01-01T00:00:00Z",
      amount: id,
      note: "n",
      revision: 1,
    })),
  ),
  "data/order_lines.jsonl": jsonl(numbers.map((id) => ({ order_id: id, line: 1, amount: id, revision: 1 }))),
  "data/visits-1.jsonl": jsonl(
    numbers.map((visit) => ({ visit, device_id: `d${visit}`, visited_at: "2026-01-01T00:00:00Z" })),
  ),
};

/** Who is in the mart of a machine, as its command line tells. */
export async function customersOf(on: CommandLine): Promise<unknown> {
  return JSON.parse(
    succeeded(
      await on.miette([
        "query",
        "select c.customer_id, c.is_anonymous, c.country, h.valid::text, o.amount from mart.dim_customers c join mart.dim_customer_history h using (customer_id) left join mart.fct_orders o using (customer_id) order by 1",
        "--json",
      ]),
    ).stdout,
  );
}
