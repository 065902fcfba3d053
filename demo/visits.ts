import { DAY_MS, MINUTE_MS, parisDay, parisInstant } from "./calendar.ts";
import { CATALOGUE, type Product } from "./catalogue.ts";
import { arrive, COMPARISON, DECISION, DISCOVERY, RETURN, type Arrival, type Channel } from "./channels.ts";
import { groupBy } from "./group-by.ts";
import type { Order } from "./orders.ts";
import type { Person } from "./people.ts";
import type { Random } from "./random.ts";

/** One visit of the shop's pages: an arrival on a device. The person is the truth, whether or not the pages learn it. */
export interface Visit {
  start: number;
  arrival: Arrival;
  device: string;
  /** Whose visit it is; null for strangers who stay unknown. */
  person: Person | null;
  /** Whose the device is, as far as the pages can learn. */
  deviceKind: "own" | "tablet" | "unknown" | "stranger";
  product: Product;
  /** The order that ends the visit. */
  order: Order | null;
  hasVideo: boolean;
  /** The person signs in during the visit, or leaves this address on the newsletter form. */
  signsIn: boolean;
  newsletterEmail: string | null;
}

/** Orders by telephone leave no visit. */
const TELEPHONE_SHARE = 0.015;
/** First looks in the browser of another app, which forgets its device id, out of the journeys of several visits. */
const FORGETFUL_SHARE = 0.02;
/** Visits of one person lie further apart than this, so that 30 minutes of silence part them wherever they are counted. */
const APART_MS = 100 * MINUTE_MS;

/** All visits, in order of time: the ways to the orders, people who only look, and strangers. */
export function makeVisits(
  orders: Order[],
  { subscribers, now, random }: { subscribers: ReadonlySet<Person>; now: number; random: Random },
): Visit[] {
  const visits = [...groupBy(orders, (order) => order.person)].flatMap(([person, own]) =>
    visitsToOrders(person, own, subscribers.has(person), random),
  );
  addLooks(visits, subscribers, now, random.fork("looks"));
  makeThemselvesKnown(visits, random.fork("known"));
  visits.push(...strangers(orders, now, random.fork("strangers")));
  return visits.sort((a, b) => a.start - b.start || (a.device < b.device ? -1 : 1));
}

function visitsToOrders(person: Person, orders: Order[], isSubscriber: boolean, random: Random): Visit[] {
  const visits: Visit[] = [];
  const busy = orders.map((order) => order.orderedAt);
  for (const [index, order] of orders.entries()) {
    // Everyone of a household orders on its tablet at least once, the last time: this is what makes it shared or contested.
    const mustUseTablet = person.household !== null && index === orders.length - 1;
    if (!mustUseTablet && random.chance(TELEPHONE_SHARE)) continue;
    const isFirst = index === 0;
    const count = random.weighted(
      isFirst
        ? [
            [1, 50],
            [2, 32],
            [3, 13],
            [4, 5],
          ]
        : [
            [1, 68],
            [2, 22],
            [3, 8],
            [4, 2],
          ],
    );
    const starts = [
      order.orderedAt - random.int(3 * MINUTE_MS, 20 * MINUTE_MS),
      ...earlierStarts(order, count - 1, busy, random),
    ];
    starts.sort((a, b) => a - b);
    busy.push(...starts);
    const onTablet = mustUseTablet || (person.household !== null && random.chance(0.3));
    starts.forEach((start, at) => {
      const isLast = at === starts.length - 1;
      const isForgetful = !isLast && at === 0 && !onTablet && random.chance(FORGETFUL_SHARE);
      const deviceKind = onTablet ? "tablet" : isForgetful ? "unknown" : "own";
      const mix = at === 0 ? (isFirst ? DISCOVERY : RETURN) : isLast ? DECISION : COMPARISON;
      visits.push({
        start,
        arrival: arrive(channelFor(mix, isSubscriber && !isFirst, random), parisDay(start), random),
        device: deviceOf(person, deviceKind, random),
        person,
        deviceKind,
        product: random.pick(order.lines).product,
        order: isLast ? order : null,
        hasVideo: false,
        signsIn: false,
        newsletterEmail: null,
      });
    });
  }
  for (const visit of visits) visit.hasVideo = watches(visit, random);
  return visits;
}

/** Instants in the 18 days before the order at which the person does nothing else. */
function earlierStarts(order: Order, count: number, busy: number[], random: Random): number[] {
  const starts: number[] = [];
  for (let tries = 0; starts.length < count && tries < 20; tries++) {
    const day =
      parisDay(order.orderedAt) -
      random.weighted([
        [0, 15],
        [random.int(1, 3), 45],
        [random.int(4, 18), 40],
      ]);
    const start = parisInstant(day, random.int(8 * 3600, 23 * 3600));
    if (start > order.orderedAt - APART_MS || [...busy, ...starts].some((other) => Math.abs(other - start) < APART_MS))
      continue;
    starts.push(start);
  }
  return starts;
}

/** Newsletters reach only those who get one. */
function channelFor(mix: readonly (readonly [Channel, number])[], getsNewsletter: boolean, random: Random): Channel {
  return random.weighted(getsNewsletter ? mix : mix.filter(([channel]) => channel !== "Email"));
}

function deviceOf(person: Person, kind: Visit["deviceKind"], random: Random): string {
  if (kind === "tablet" && person.household) return person.household.tablet;
  if (kind === "unknown") return random.uuid();
  const [usual = "", ...others] = person.devices;
  return others.length === 0 || random.chance(0.7) ? usual : random.pick(others);
}

function watches(visit: Visit, random: Random): boolean {
  return random.chance(visit.arrival.channel.endsWith("Video") ? 0.7 : 0.06);
}

/**
 * Customers who look and do not buy: some 700 visits over the whole time, and in the last two weeks eighty people
 * who watch a video and have ordered nothing since.
 */
function addLooks(visits: Visit[], subscribers: ReadonlySet<Person>, now: number, random: Random): void {
  const byPerson = groupBy(visits, (visit) => visit.person);
  const known = [...byPerson].flatMap(([person, theirs]) =>
    person && theirs.some((visit) => visit.deviceKind === "own") ? [person] : [],
  );
  const look = (person: Person, start: number, channel: Channel, hasVideo: boolean) => {
    const others = byPerson.get(person) ?? [];
    const orderedLater = others.some((other) => other.order && other.start > start);
    if (others.some((other) => Math.abs(other.start - start) < APART_MS + 20 * MINUTE_MS) || (hasVideo && orderedLater))
      return;
    const visit: Visit = {
      start,
      arrival: arrive(channel, parisDay(start), random),
      device: deviceOf(person, "own", random),
      person,
      deviceKind: "own",
      product: random.pick(CATALOGUE),
      order: null,
      hasVideo,
      signsIn: false,
      newsletterEmail: null,
    };
    visits.push(visit);
    byPerson.set(person, [...others, visit]);
  };
  for (let count = 0; count < 700; count++) {
    const person = random.pick(known);
    const from = Math.min(...(byPerson.get(person) ?? []).map((visit) => visit.start));
    const start = random.int(Math.floor(from / 1000), Math.floor(now / 1000) - 3_600) * 1000;
    look(person, start, channelFor(RETURN, subscribers.has(person), random), false);
  }
  for (const person of random.shuffled(known).slice(0, 80)) {
    look(
      person,
      now - random.int(4 * 3600, 13 * 86_400) * 1000,
      subscribers.has(person) ? "Email" : "Organic Video",
      true,
    );
  }
}

/**
 * A device of one's own on which nothing was ordered is recognised by signing in once. Who gives a second address for
 * the newsletter only does so on a device that an order or a sign-in ties to the account, before or after.
 */
function makeThemselvesKnown(visits: Visit[], random: Random): void {
  const own = groupBy(
    visits.filter((visit) => visit.deviceKind === "own"),
    (visit) => visit.device,
  );
  for (const onDevice of own.values()) {
    if (!onDevice.some((visit) => visit.order)) random.pick(onDevice).signsIn = true;
  }
  for (const [person, theirs] of groupBy([...own.values()].flat(), (visit) => visit.person)) {
    if (person?.secondAddress === "newsletter") random.pick(theirs).newsletterEmail = person.emails[1] ?? null;
    else if (person?.emails[0] && random.chance(0.2)) random.pick(theirs).newsletterEmail = person.emails[0];
  }
}

/** People who came once or a few times and were never heard of again. */
function strangers(orders: Order[], now: number, random: Random): Visit[] {
  const from = orders[0]?.orderedAt ?? now;
  return Array.from({ length: 800 }, () => random.uuid()).flatMap((device) => {
    const first = random.int(Math.floor(from / 1000), Math.floor(now / 1000) - 20 * 86_400);
    return Array.from(
      {
        length: random.weighted([
          [1, 75],
          [2, 18],
          [3, 7],
        ]),
      },
      (_, index): Visit => {
        const start = first * 1000 + index * random.int(1, 5) * DAY_MS;
        const arrival = arrive(
          channelFor(index === 0 ? DISCOVERY : COMPARISON, false, random),
          parisDay(start),
          random,
        );
        const visit: Visit = {
          start,
          arrival,
          device,
          person: null,
          deviceKind: "stranger",
          product: random.pick(CATALOGUE),
          order: null,
          hasVideo: false,
          signsIn: false,
          newsletterEmail: null,
        };
        visit.hasVideo = watches(visit, random);
        return visit;
      },
    );
  });
}
