import { formatInstant, MINUTE_MS } from "./calendar.ts";
import type { Product } from "./catalogue.ts";
import { typeEmail } from "./people.ts";
import type { Random } from "./random.ts";
import type { Visit } from "./visits.ts";

/** An event as the tag on the shop's pages writes it: one line of JSON. Absent means that there was nothing. */
export interface WebEvent {
  event_id: string;
  event:
    | "page_viewed"
    | "product_viewed"
    | "video_watched"
    | "product_added"
    | "order_completed"
    | "signed_in"
    | "newsletter_signed_up";
  occurred_at: string;
  device_id: string;
  /** The account's number, once somebody has signed in or ordered. */
  user_id?: number;
  email?: string;
  ip: string;
  page_url: string;
  referrer?: string;
  utm_source?: string;
  utm_medium?: string;
  utm_campaign?: string;
  product_sku?: string;
  properties?: Record<string, string | number>;
  /** No schema declares it. */
  experiment?: string;
}

export const SHOP_URL = "https://www.elektra.example";

/** What happens within a visit: at most 25 minutes, so that no visit falls apart. */
export function makeEvents(visits: Visit[], random: Random): WebEvent[] {
  const addresses = new Map<string, string>();
  const ipOf = (device: string): string => {
    const known = addresses.get(device);
    if (known && random.chance(0.9)) return known;
    // RFC 5737 keeps these three networks for examples.
    const address = `${random.pick(["192.0.2", "198.51.100", "203.0.113"])}.${random.int(1, 254)}`;
    addresses.set(device, address);
    return address;
  };
  return visits.flatMap((visit) => eventsOf(visit, ipOf(visit.device), random));
}

/** The mailboxes of those who test the shop, and their devices: addresses that point at nobody. */
export const TEST_EMAILS = ["test@example.com", "qa+checkout@example.com", "Test@Example.com"];

/** Testers sign in with their shared addresses on six devices, without an account. */
export function makeTestEvents(
  devices: string[],
  { from, to, random }: { from: number; to: number; random: Random },
): WebEvent[] {
  return devices.flatMap((device) =>
    Array.from({ length: 5 }, (): WebEvent => ({
      event_id: random.uuid(),
      event: "signed_in",
      occurred_at: formatInstant(random.int(Math.floor(from / 1000), Math.floor(to / 1000)) * 1000),
      device_id: device,
      email: random.pick(TEST_EMAILS),
      ip: "192.0.2.254",
      page_url: `${SHOP_URL}/account`,
    })),
  );
}

function eventsOf(visit: Visit, ip: string, random: Random): WebEvent[] {
  const productPage = `${SHOP_URL}/products/${visit.product.sku.toLowerCase()}`;
  const landsOnProduct = visit.hasVideo || random.chance(0.6);
  const landing = landsOnProduct
    ? productPage
    : random.pick([`${SHOP_URL}/`, `${SHOP_URL}/${visit.product.category}`, `${SHOP_URL}/offers`]);
  const common = { device_id: visit.device, ip };
  const inside = { ...common, page_url: productPage, referrer: landing };
  const events: WebEvent[] = [];
  // Whatever precedes an order must fit in before it.
  const step = visit.order ? Math.floor((visit.order.orderedAt - visit.start) / 6) : 150_000;
  let at = visit.start;
  const add = (event: Omit<WebEvent, "event_id" | "occurred_at">, instant = at) => {
    const experiment = random.chance(0.01) ? { experiment: random.pick(["checkout-a", "checkout-b"]) } : {};
    events.push({ event_id: random.uuid(), occurred_at: formatInstant(instant), ...event, ...experiment });
    at = instant + random.int(Math.floor(step / 3), step);
  };

  add({
    event: landsOnProduct ? "product_viewed" : "page_viewed",
    ...common,
    ...arrivalFields(visit, landing, random),
    ...(landsOnProduct ? { product_sku: visit.product.sku } : {}),
  });
  if (visit.hasVideo)
    add({
      event: "video_watched",
      ...inside,
      product_sku: visit.product.sku,
      properties: video(visit.product, random),
    });
  if (visit.signsIn && visit.person)
    add({ event: "signed_in", ...inside, page_url: `${SHOP_URL}/account`, user_id: visit.person.customer });
  if (visit.newsletterEmail) {
    add({
      event: "newsletter_signed_up",
      ...inside,
      page_url: `${SHOP_URL}/newsletter`,
      email: typeEmail(visit.newsletterEmail, random),
    });
  }
  if (random.chance(0.05))
    add({ event: "product_added", ...inside, product_sku: visit.product.sku, properties: { quantity: 1 } });
  if (visit.order && visit.person) {
    const { number, amount, orderedAt, lines } = visit.order;
    add(
      {
        event: "order_completed",
        ...inside,
        page_url: `${SHOP_URL}/checkout/thanks`,
        user_id: visit.person.customer,
        properties: { order_number: number, amount: amount / 100, currency: "EUR", line_count: lines.length },
      },
      orderedAt + random.int(400, 2_500),
    );
  }
  const last = Date.parse(events.at(-1)?.occurred_at ?? "");
  if (last - visit.start > 25 * MINUTE_MS) throw new Error(`the visit at ${formatInstant(visit.start)} takes too long`);
  return events;
}

/** The landing page's address with tags and click id, and the referrer. Some newsletter links carry the reader's address, as careless ones do. */
function arrivalFields(
  { arrival, person }: Visit,
  landing: string,
  random: Random,
): Pick<WebEvent, "page_url" | "referrer" | "utm_source" | "utm_medium" | "utm_campaign"> {
  const query = new URLSearchParams();
  const { utm, clickId, referrer } = arrival;
  if (utm) {
    query.set("utm_source", utm.source);
    query.set("utm_medium", utm.medium);
    query.set("utm_campaign", utm.campaign);
  }
  if (clickId) query.set(clickId.name, clickId.value);
  const email = person?.emails[0];
  if (arrival.channel === "Email" && email && random.chance(0.04)) query.set("subscriber", email);
  return {
    page_url: query.size > 0 ? `${landing}?${query}` : landing,
    ...(referrer ? { referrer } : {}),
    ...(utm ? { utm_source: utm.source, utm_medium: utm.medium, utm_campaign: utm.campaign } : {}),
  };
}

function video(product: Product, random: Random): Record<string, string | number> {
  const duration = random.int(60, 420);
  return {
    video: `${product.name}: ${random.pick(["tested", "unboxed", "in 90 seconds", "after a month"])}`,
    duration_seconds: duration,
    watched_seconds: random.int(15, duration),
  };
}
