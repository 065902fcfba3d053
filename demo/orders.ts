import { DAY_MS, parisDay, parisInstant } from "./calendar.ts";
import { productsNear, type Product } from "./catalogue.ts";
import type { Purchase } from "./cdnow.ts";
import { groupBy } from "./group-by.ts";
import { misspell, typeEmail, type Person } from "./people.ts";
import type { Random } from "./random.ts";

export interface OrderLine {
  line: number;
  product: Product;
  quantity: number;
  /** What is paid for the line after discounts, in cents. */
  amount: number;
}

export interface Order {
  id: number;
  number: string;
  person: Person;
  /** What was typed at this checkout; null keeps the account's. */
  typedEmail: string | null;
  /** Cents: the purchase's dollars times PRICE_FACTOR. */
  amount: number;
  lines: OrderLine[];
  orderedAt: number;
  deliveredAt: number | null;
  /** Of the product line that was delivered late in the bad month. */
  isLate: boolean;
}

/** A CD costs 14 dollars in the middle; ten times that is what an article of an electronics shop costs. */
export const PRICE_FACTOR = 10;

/** The product line and the order days whose deliveries went wrong. */
export interface LateDeliveries {
  category: string;
  from: number;
  to: number;
}

/**
 * One order per CDNOW purchase, in order of time, as ids and numbers tell. `shift` days move the purchases to recent
 * dates; their time of day is invented. Nothing is delivered after `now`.
 */
export function makeOrders(
  purchases: Purchase[],
  people: Person[],
  { shift, now, late, random }: { shift: number; now: number; late: LateDeliveries; random: Random },
): Order[] {
  const orders = timesOfDay(purchases, random.fork("times")).map(({ purchase, secondOfDay }) => {
    const amount = purchase.cents * PRICE_FACTOR;
    const order: Order = {
      id: 0,
      number: "",
      person: people[purchase.customer - 1] as Person,
      typedEmail: null,
      amount,
      lines: makeLines(amount, purchase.units, random),
      orderedAt: parisInstant(purchase.day + shift, secondOfDay),
      deliveredAt: null,
      isLate: false,
    };
    const isLate =
      order.lines.some((line) => line.product.category === late.category) &&
      purchase.day + shift >= late.from &&
      purchase.day + shift < late.to;
    deliver(order, isLate, now, random);
    return order;
  });
  orders.sort((a, b) => a.orderedAt - b.orderedAt || a.person.customer - b.person.customer);
  orders.forEach((order, index) => {
    order.id = index + 1;
    order.number = `EL-${new Date(order.orderedAt).getUTCFullYear()}-${String(order.id).padStart(6, "0")}`;
  });
  typeCheckoutEmails(orders, random.fork("checkout"));
  return orders;
}

/** Several purchases of one customer on one day get a part of the day each, so that their visits stay apart. */
function timesOfDay(purchases: Purchase[], random: Random): { purchase: Purchase; secondOfDay: number }[] {
  const days = groupBy(purchases, (purchase) => `${purchase.customer} ${purchase.day}`);
  const [open, close] = [8 * 3600, 23 * 3600];
  return [...days.values()].flatMap((sameDay) =>
    sameDay.map((purchase, index) => {
      const slot = (close - open) / sameDay.length;
      return { purchase, secondOfDay: Math.floor(open + slot * (index + random.between(0.25, 0.75))) };
    }),
  );
}

/**
 * Shares units and money out among one to three products: the first line is one unit that costs more than half, the
 * others are what goes with it. Lines add up to the order to the cent.
 */
function makeLines(amount: number, units: number, random: Random): OrderLine[] {
  const count =
    units === 1
      ? 1
      : Math.min(
          units,
          random.weighted([
            [1, 45],
            [2, 40],
            [3, 15],
          ]),
        );
  const quantities = count === 1 ? [units] : [1, ...shareOut(units - 1, count - 1)];
  const mainShare = count === 1 ? 1 : random.between(0.5, 0.8);
  const lines: OrderLine[] = [];
  let rest = amount;
  let restUnits = units - 1;
  quantities.forEach((quantity, index) => {
    const isLast = index === count - 1;
    const paid = isLast
      ? rest
      : index === 0
        ? Math.round(amount * mainShare)
        : Math.round((rest * quantity) / restUnits);
    const taken = new Set(lines.map((line) => line.product));
    const near = productsNear(Math.ceil(paid / quantity));
    const fresh = near.filter((product) => !taken.has(product));
    lines.push({ line: index + 1, product: random.pick(fresh.length > 0 ? fresh : near), quantity, amount: paid });
    rest -= paid;
    if (index > 0) restUnits -= quantity;
  });
  return lines;
}

function shareOut(units: number, lines: number): number[] {
  const each = Math.floor(units / lines);
  return Array.from({ length: lines }, (_, index) => each + (index < units - each * lines ? 1 : 0));
}

/** One to six days, rarely eight; nine to sixteen where it went wrong. Parcels arrive between 9:00 and 19:00. */
function deliver(order: Order, isLate: boolean, now: number, random: Random): void {
  const days = isLate
    ? random.int(9, 16)
    : random.weighted([
        [1, 22],
        [2, 34],
        [3, 22],
        [4, 11],
        [5, 6],
        [6, 3],
        [8, 2],
      ]);
  const deliveredAt = parisInstant(parisDay(order.orderedAt) + days, random.int(9 * 3600, 19 * 3600));
  order.isLate = isLate;
  order.deliveredAt = deliveredAt < now ? deliveredAt : null;
}

/** Who has a second address for checkouts uses it from the first order on, in every other one; a few addresses are misspelt. */
function typeCheckoutEmails(orders: Order[], random: Random): void {
  const taken = new Set(orders.flatMap((order) => order.person.emails));
  const misspelt = new Set<Person>();
  for (const [person, own] of groupBy(orders, (order) => order.person)) {
    const [account, second] = person.emails;
    own.forEach((order, index) => {
      if (second && person.secondAddress === "checkout" && index % 2 === 0)
        order.typedEmail = typeEmail(second, random);
      else if (account && random.chance(0.2)) order.typedEmail = typeEmail(account, random);
      else if (account && !misspelt.has(person) && random.chance(0.008)) {
        const wrong = misspell(account, random);
        if (taken.has(wrong)) return;
        taken.add(wrong);
        misspelt.add(person);
        order.typedEmail = wrong;
        person.emails.push(wrong);
      }
    });
  }
}

/** Days from order to delivery, with their fraction; null while it is under way. */
export function deliveryDays(order: Order): number | null {
  return order.deliveredAt === null ? null : (order.deliveredAt - order.orderedAt) / DAY_MS;
}
