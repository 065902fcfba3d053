import { DAY_MS, formatInstant, parisInstant, parseDay } from "./calendar.ts";
import { CATALOGUE } from "./catalogue.ts";
import type { Store } from "./generate.ts";
import { groupBy } from "./group-by.ts";
import type { Order } from "./orders.ts";
import { Random } from "./random.ts";

type Value = string | number | null;

/** The rows of the shop's tables, parents first, columns in the order of shop.sql. */
export function shopRows(store: Store): Map<string, Value[][]> {
  return new Map([
    ["customers", customerRows(store)],
    ["products", CATALOGUE.map(({ sku, name, category, price }) => [sku, name, category, euros(price), "EUR"])],
    ["orders", store.orders.map((order) => orderRow(order, nowOf(store)))],
    ["order_lines", store.orders.flatMap(lineRows)],
  ]);
}

/** Accounts are opened during the first order; one in seven was edited since. */
function customerRows(store: Store): Value[][] {
  const random = new Random(store.seed).fork("accounts");
  const orders = groupBy(store.orders, (order) => order.person);
  return store.people.map((person) => {
    const own = orders.get(person) ?? [];
    const createdAt = (own[0]?.orderedAt ?? nowOf(store)) - random.int(60, 170) * 1000;
    const isEdited = random.chance(1 / 7);
    const updatedAt = isEdited
      ? createdAt + Math.floor(random.between(0, 1) * ((nowOf(store) - createdAt) / 1000)) * 1000
      : createdAt;
    return [
      person.customer,
      person.typedEmail,
      person.typedPhone,
      `${person.given} ${person.family}`,
      person.birthDate,
      person.street,
      person.postalCode,
      person.city,
      person.country,
      person.language,
      own.length >= 10 ? "gold" : own.length >= 4 ? "silver" : null,
      formatInstant(createdAt),
      formatInstant(updatedAt),
    ];
  });
}

function orderRow(order: Order, now: number): Value[] {
  const shippedAt = order.orderedAt + DAY_MS;
  const status = order.deliveredAt !== null ? "delivered" : shippedAt < now ? "shipped" : "paid";
  const updatedAt = order.deliveredAt ?? (status === "shipped" ? shippedAt : order.orderedAt);
  return [
    order.id,
    order.number,
    order.person.customer,
    order.typedEmail,
    status,
    euros(order.amount),
    "EUR",
    formatInstant(order.orderedAt),
    order.deliveredAt === null ? null : formatInstant(order.deliveredAt),
    formatInstant(updatedAt),
  ];
}

function lineRows(order: Order): Value[][] {
  return order.lines.map(({ line, product, quantity, amount }) => [
    order.id,
    line,
    product.sku,
    quantity,
    euros(product.price),
    euros(amount),
    "EUR",
  ]);
}

function nowOf(store: Store): number {
  return parisInstant(parseDay(store.date), 0);
}

function euros(cents: number): string {
  return (cents / 100).toFixed(2);
}
