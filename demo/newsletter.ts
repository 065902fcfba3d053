import { formatInstant, MINUTE_MS } from "./calendar.ts";
import type { Order } from "./orders.ts";
import { typeEmail, type Person } from "./people.ts";
import type { Random } from "./random.ts";
import type { Visit } from "./visits.ts";

/** A change of mind in the newsletter tool's export. */
export interface ConsentChange {
  change_id: string;
  email: string;
  action: "subscribed" | "unsubscribed";
  purpose: "marketing";
  occurred_at: string;
  country: string;
}

/** Half of those who have an address get the newsletter; whoever has a second address only for it does. */
export function chooseSubscribers(people: Person[], random: Random): Set<Person> {
  return new Set(
    people.filter(
      (person) => person.emails.length > 0 && (random.chance(0.5) || person.secondAddress === "newsletter"),
    ),
  );
}

/** One row per subscription and unsubscription: from the first order or the form on; one in six leaves later, some come back. */
export function makeConsents(
  subscribers: ReadonlySet<Person>,
  { orders, visits, now, random }: { orders: Order[]; visits: Visit[]; now: number; random: Random },
): ConsentChange[] {
  const firstOrders = new Map<Person, number>();
  for (const order of orders) if (!firstOrders.has(order.person)) firstOrders.set(order.person, order.orderedAt);
  const forms = new Map(
    visits.flatMap((visit) => (visit.newsletterEmail && visit.person ? [[visit.person, visit] as const] : [])),
  );
  const changes: { at: number; row: Omit<ConsentChange, "change_id"> }[] = [];
  for (const person of subscribers) {
    const form = forms.get(person);
    const email = form?.newsletterEmail ?? person.emails[0];
    let at = form?.start ?? firstOrders.get(person);
    if (!email || at === undefined) continue;
    const actions = random.weighted([
      [["subscribed"], 83],
      [["subscribed", "unsubscribed"], 14],
      [["subscribed", "unsubscribed", "subscribed"], 3],
    ] as const);
    for (const action of actions) {
      at += action === "subscribed" ? random.int(1, 5) * MINUTE_MS : random.int(3, 300) * 24 * 60 * MINUTE_MS;
      if (at >= now) break;
      changes.push({
        at,
        row: {
          email: typeEmail(email, random),
          action,
          purpose: "marketing",
          occurred_at: formatInstant(at),
          country: person.country,
        },
      });
    }
  }
  changes.sort((a, b) => a.at - b.at);
  return changes.map(({ row }, index) => ({ change_id: `n-${String(index + 1).padStart(5, "0")}`, ...row }));
}
