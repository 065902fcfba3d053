import { DAY_MS } from "./calendar.ts";
import type { Channel } from "./channels.ts";
import { groupBy } from "./group-by.ts";
import type { Order } from "./orders.ts";
import type { Person } from "./people.ts";
import type { Visit } from "./visits.ts";

/** How long before an order a visit counts as having led to it. */
const LOOKBACK_MS = 30 * DAY_MS;

/** Which channels led to an order: of all visits that its buyer truly made in the 30 days before it. */
export interface OrderTruth {
  order_number: string;
  customer_id: number;
  visits: number;
  /** Null where nobody visited: an order by telephone. */
  first_channel: Channel | null;
  last_channel: Channel | null;
  last_non_direct_channel: Channel | null;
  /** Why the pages cannot know the first channel; null where they can. */
  hidden_because: "unknown_device" | "tablet" | null;
}

/** The truth of every order, in the order of `orders`. */
export function orderTruths(orders: Order[], visits: Visit[]): OrderTruth[] {
  const byPerson = groupBy(visits, (visit) => visit.person);
  const byDevice = groupBy(visits, (visit) => visit.device);
  return orders.map((order) => {
    const isBefore = (visit: Visit) => visit.start <= order.orderedAt && visit.start >= order.orderedAt - LOOKBACK_MS;
    const led = (byPerson.get(order.person) ?? []).filter(isBefore);
    const first = led[0];
    const onTablet = order.person.household ? (byDevice.get(order.person.household.tablet) ?? []).filter(isBefore) : [];
    return {
      order_number: order.number,
      customer_id: order.person.customer,
      visits: led.length,
      first_channel: first?.arrival.channel ?? null,
      last_channel: led.at(-1)?.arrival.channel ?? null,
      last_non_direct_channel: led.findLast((visit) => visit.arrival.channel !== "Direct")?.arrival.channel ?? null,
      hidden_because: onTablet.length > 0 ? "tablet" : first?.deviceKind === "unknown" ? "unknown_device" : null,
    };
  });
}

/** Who is who: the identifiers that are one person's and nobody else's, normalised. */
export interface PersonTruth {
  customer_id: number;
  emails: string[];
  phones: string[];
  devices: string[];
}

export function personTruths(people: Person[], visits: Visit[]): PersonTruth[] {
  const seen = new Set(visits.filter((visit) => visit.deviceKind === "own").map((visit) => visit.device));
  return people.map((person) => ({
    customer_id: person.customer,
    emails: person.emails,
    phones: person.phones,
    devices: person.devices.filter((device) => seen.has(device)),
  }));
}

/** Families with one tablet, and whether it links nobody (more than 4 accounts) or at most one of them. */
export function householdTruths(
  people: Person[],
): { tablet: string; phone: string | null; customer_ids: number[]; is_shared: boolean }[] {
  const households = new Set(people.flatMap((person) => person.household ?? []));
  return [...households].map(({ tablet, phone, members }) => ({
    tablet,
    phone,
    customer_ids: members,
    is_shared: members.length > 4,
  }));
}
