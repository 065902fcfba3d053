import { makeAdSpend, type AdSpend } from "./ads.ts";
import { brokenRecords, type Broken } from "./broken.ts";
import { formatDay, monthAround, parisDay, parisInstant, parseDay } from "./calendar.ts";
import { CATALOGUE } from "./catalogue.ts";
import { readPurchases } from "./cdnow.ts";
import { makeEvents, makeTestEvents, TEST_EMAILS, type WebEvent } from "./events.ts";
import { chooseSubscribers, makeConsents, type ConsentChange } from "./newsletter.ts";
import { makeOrders, type LateDeliveries, type Order } from "./orders.ts";
import { makePeople, type Person } from "./people.ts";
import { Random } from "./random.ts";
import { makeReviews, type Review } from "./reviews.ts";
import { householdTruths, orderTruths, personTruths } from "./truth.ts";
import { makeVisits, type Visit } from "./visits.ts";

/** One generation of the demo store, as it is before it is written to files and to the shop's database. */
export interface Store {
  /** Everything happened before this day began in Paris; the last purchase fell on the day before. */
  date: string;
  seed: number;
  people: Person[];
  orders: Order[];
  visits: Visit[];
  events: WebEvent[];
  reviews: Review[];
  adSpend: AdSpend[];
  consents: ConsentChange[];
  broken: Broken[];
  truth: Truth;
}

/** What must come out at the other end. Written to truth.json, for tests and for whoever compares. */
export type Truth = ReturnType<typeof makeTruth>;

export const SEED = 1997;

/** Makes the store of a date (`2026-11-24`, in Paris): the same seed and date make the same store. */
export function generateStore({ date, seed = SEED }: { date: string; seed?: number }): Store {
  const random = new Random(seed);
  const today = parseDay(date);
  const now = parisInstant(today, 0);
  const purchases = readPurchases();
  const shift = today - 1 - Math.max(...purchases.map((purchase) => purchase.day));
  const late = lateDeliveries(today);

  const people = makePeople(Math.max(...purchases.map((purchase) => purchase.customer)), random.fork("people"));
  const orders = makeOrders(purchases, people, { shift, now, late, random: random.fork("orders") });
  const subscribers = chooseSubscribers(people, random.fork("subscribers"));
  const visits = makeVisits(orders, { subscribers, now, random: random.fork("visits") });
  forgetUnusedAddresses(people, visits);
  const from = Math.min(...visits.map((visit) => visit.start));
  const testDevices = Array.from({ length: 6 }, () => random.uuid());
  const events = [
    ...makeEvents(visits, random.fork("events")),
    ...makeTestEvents(testDevices, { from, to: now, random: random.fork("tests") }),
  ].sort((a, b) =>
    a.occurred_at < b.occurred_at ? -1 : a.occurred_at > b.occurred_at ? 1 : a.event_id < b.event_id ? -1 : 1,
  );
  const parts = {
    date,
    seed,
    people,
    orders,
    visits,
    events,
    reviews: makeReviews(orders, { now, random: random.fork("reviews") }),
    adSpend: makeAdSpend(visits, { from: parisDay(from), to: today, random: random.fork("ads") }),
    consents: makeConsents(subscribers, { orders, visits, now, random: random.fork("consents") }),
    broken: brokenRecords(formatDay(today - 1)),
  };
  return { ...parts, truth: makeTruth(parts, { late, month: badMonth(today), testDevices }) };
}

/** The bad month: the calendar month of 75 days ago, late enough to be felt and whole whatever today is. */
function badMonth(today: number): { from: number; to: number } {
  return monthAround(today - 75);
}

/** Ordered so that parcels of 9 to 16 days, and the reviews up to four days after, fall into the bad month. */
function lateDeliveries(today: number): LateDeliveries {
  const { from, to } = badMonth(today);
  return { category: "headphones", from: from - 9, to: to - 20 };
}

/** A second address that was meant for the newsletter form is nobody's if its owner never came to the form. */
function forgetUnusedAddresses(people: Person[], visits: Visit[]): void {
  const used = new Set(visits.map((visit) => visit.newsletterEmail));
  for (const person of people) {
    const second = person.emails[1];
    if (person.secondAddress !== "newsletter" || !second || used.has(second)) continue;
    person.emails = person.emails.filter((email) => email !== second);
    person.secondAddress = null;
  }
}

function makeTruth(
  store: Omit<Store, "truth">,
  { late, month, testDevices }: { late: LateDeliveries; month: { from: number; to: number }; testDevices: string[] },
) {
  const { people, orders, visits, events, reviews, adSpend, consents, broken } = store;
  const inMonth = (review: Review) => {
    const day = parisDay(Date.parse(review.reviewed_at));
    return day >= month.from && day < month.to;
  };
  const isLate = new Set(orders.filter((order) => order.isLate).map((order) => order.id));
  const devicesOf = (kind: Visit["deviceKind"]) => [
    ...new Set(visits.filter((visit) => visit.deviceKind === kind).map((visit) => visit.device)),
  ];
  const quarantined: Record<string, number> = {};
  for (const { stream } of broken) quarantined[stream] = (quarantined[stream] ?? 0) + 1;
  return {
    date: store.date,
    seed: store.seed,
    counts: {
      customers: people.length,
      anonymous_customers: testDevices.length + devicesOf("unknown").length + devicesOf("stranger").length,
      orders: orders.length,
      order_lines: orders.reduce((sum, order) => sum + order.lines.length, 0),
      products: CATALOGUE.length,
      revenue: euros(orders.reduce((sum, order) => sum + order.amount, 0)),
      currency: "EUR",
      events: events.length,
      reviews: reviews.length,
      ad_spend_rows: adSpend.length,
      ad_spend: euros(adSpend.reduce((sum, row) => sum + Math.round(Number(row.cost) * 100), 0)),
      consents: consents.length,
    },
    identity: {
      people: personTruths(people, visits),
      households: householdTruths(people),
      blocked_emails: [
        ...new Set(
          people.flatMap((person) =>
            person.emails[0] === undefined && person.typedEmail ? [person.typedEmail.toLowerCase()] : [],
          ),
        ),
        ...new Set(TEST_EMAILS.map((email) => email.toLowerCase())),
      ],
      /** Each is an anonymous customer of its own: testers' devices, forgetful browsers and strangers. */
      anonymous_devices: { test: testDevices, unknown: devicesOf("unknown"), strangers: devicesOf("stranger") },
    },
    orders: orderTruths(orders, visits),
    bad_month: {
      month: formatDay(month.from).slice(0, 7),
      cause: "late delivery",
      category: late.category,
      ordered_from: formatDay(late.from),
      ordered_before: formatDay(late.to),
      late_orders: isLate.size,
      late_reviews: reviews.filter((review) => isLate.has(review.order_id)).length,
      mean_rating: mean(reviews.filter(inMonth)),
      mean_rating_otherwise: mean(reviews.filter((review) => !inMonth(review))),
    },
    quarantined: {
      total: broken.length,
      by_stream: quarantined,
      records: broken.map(({ stream, what }) => ({ stream, what })),
    },
    undeclared: { "shop.customers": ["loyalty_tier"], "web.events": ["experiment"] },
  };
}

function euros(cents: number): string {
  return (cents / 100).toFixed(2);
}

function mean(reviews: Review[]): number {
  return Math.round((reviews.reduce((sum, review) => sum + review.rating, 0) / reviews.length) * 100) / 100;
}
