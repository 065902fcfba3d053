import { Random } from "../../demo/random.ts";
import {
  CATEGORIES,
  CHANNELS,
  CITIES,
  EVENTS,
  FAMILY_NAMES,
  GIVEN_NAMES,
  MAIL_HOSTS,
  PAID_CHANNELS,
  SENTENCES,
  STREETS,
} from "./words.ts";

/** How many of each kind the shop has in its first year. */
export interface Sizes {
  events: number;
  orders: number;
  customers: number;
}

export type ShopRecord = Record<string, unknown>;

/** A stream of the shop. Any item can be made alone: it is a function of the seed, its number and its revision. */
export interface ShopStream {
  /** Folder of its files, and name of its stream. */
  name: string;
  /** Items of the first year. */
  count: number;
  /** Whether an item can change; else only new ones come. */
  isMutable: boolean;
  /** The records of an item, with the same fields in the same order. @param revision 0 at first, another after a change */
  records(item: number, revision: number): ShopRecord[];
}

const FIRST_DAY = Date.UTC(2025, 0, 1);
const DAY = 86_400_000;
const YEAR = 365 * DAY;
const EVENTS_PER_SESSION = 5;
const REVISED_AFTER = 3 * DAY;
const CURRENCY = "EUR";

/** The streams of a shop of this seed and these sizes. No clock: the same seed gives the same records on any day. */
export function shopStreams(seed: number, sizes: Sizes): ShopStream[] {
  const random = new Random(seed);
  const productCount = Math.max(10, Math.ceil(sizes.customers / 50));
  const reviewCount = Math.ceil(sizes.orders / 10);

  const draw = (stream: string, item: number, revision = 0): Random => random.fork(`${stream} ${item} ${revision}`);
  /** The moment of an item, evenly over the first year, and at the same pace after it. */
  const timeOf = (item: number, count: number): number => FIRST_DAY + Math.floor((item / count) * YEAR);
  const emailOf = (customer: number): string => {
    const choice = draw("email", customer);
    const name = `${choice.pick(GIVEN_NAMES)}.${choice.pick(FAMILY_NAMES)}`.normalize("NFD").replaceAll(/[^\w.]/g, "");
    return `${name.toLowerCase()}${customer}@${choice.pick(MAIL_HOSTS)}`;
  };
  const skuOf = (product: number): string => `SKU-${String(product + 1).padStart(5, "0")}`;
  const priceOf = (product: number, revision = 0): number => draw("price", product, revision).int(500, 150_000);
  const linesOf = (order: number): { product: number; quantity: number; cents: number }[] => {
    const choice = draw("lines", order);
    return Array.from({ length: choice.int(1, 3) }, () => {
      const product = choice.int(0, productCount - 1);
      const quantity = choice.weighted([
        [1, 8],
        [2, 2],
      ]);
      return { product, quantity, cents: quantity * priceOf(product) };
    });
  };
  const customerOf = (order: number): number => draw("order", order).int(0, sizes.customers - 1);
  const orderOf = (review: number): number => Math.floor((review * sizes.orders) / reviewCount);

  // The last session is kept: its events come one after another.
  let session = { number: -1, device: "", email: "", channel: CHANNELS[0] as (typeof CHANNELS)[number] };
  const sessionOf = (event: number): typeof session => {
    const number = Math.floor(event / EVENTS_PER_SESSION);
    if (session.number === number) return session;
    const choice = draw("session", number);
    const customer = choice.int(0, sizes.customers - 1);
    const device = `d${customer.toString(16).padStart(8, "0")}${choice.int(0, 1 + (customer % 2))}`;
    session = { number, device, email: emailOf(customer), channel: choice.pick(CHANNELS) };
    return session;
  };

  const events = (item: number, revision: number): ShopRecord[] => {
    const { device, email, channel } = sessionOf(item);
    const place = item % EVENTS_PER_SESSION;
    const isFirst = place === 0;
    const choice = draw("event", item);
    const id = uuidOf(choice, item);
    const name = choice.weighted(EVENTS);
    const delay = place * 40_000 + choice.int(0, 30_000);
    const sku = skuOf(choice.int(0, productCount - 1));
    const detail = revision === 0 ? choice : draw("event", item, revision);
    const tags =
      isFirst && channel.source !== null
        ? `?utm_source=${channel.source}&utm_medium=${channel.medium}&utm_campaign=${channel.campaign}`
        : "";
    return [
      {
        event_id: id,
        event: name,
        occurred_at: iso(timeOf(item - place, sizes.events) + delay),
        device_id: device,
        email,
        page_url: `https://shop.example/products/${sku.toLowerCase()}${tags}`,
        referrer: isFirst ? channel.referrer : "https://shop.example/",
        product_sku: sku,
        properties: {
          list: "search results",
          position: detail.int(1, 40),
          stock: detail.int(0, 99),
          price: money(detail.int(500, 150_000)),
          currency: CURRENCY,
          engaged_ms: detail.int(100, 60_000),
        },
      },
    ];
  };

  const customers = (item: number, revision: number): ShopRecord[] => {
    const choice = draw("customer", item);
    const address = draw("address", item, revision);
    const [city, area] = address.pick(CITIES);
    const created = timeOf(item, sizes.customers);
    return [
      {
        id: item + 1,
        email: emailOf(item),
        phone: `+336${String(item % 100_000_000).padStart(8, "0")}`,
        full_name: `${choice.pick(GIVEN_NAMES)} ${choice.pick(FAMILY_NAMES)}`,
        birth_date: iso(Date.UTC(choice.int(1940, 2006), choice.int(0, 11), choice.int(1, 28))).slice(0, 10),
        street: `${address.int(1, 150)} ${address.pick(STREETS)}`,
        postal_code: `${area}${address.int(10, 99)}`,
        city,
        country: "FR",
        created_at: iso(created),
        updated_at: iso(created + revision * REVISED_AFTER),
      },
    ];
  };

  const orders = (item: number, revision: number): ShopRecord[] => {
    const ordered = timeOf(item, sizes.orders);
    const cents = linesOf(item).reduce((sum, line) => sum + line.cents, 0);
    return [
      {
        id: item + 1,
        order_number: `O-${String(item + 1).padStart(7, "0")}`,
        customer_id: customerOf(item) + 1,
        status: revision === 0 ? "paid" : "delivered",
        amount: money(cents),
        currency: CURRENCY,
        ordered_at: iso(ordered),
        delivered_at: revision === 0 ? null : iso(ordered + revision * REVISED_AFTER),
        updated_at: iso(ordered + revision * REVISED_AFTER),
      },
    ];
  };

  const orderLines = (item: number): ShopRecord[] =>
    linesOf(item).map(({ product, quantity, cents }, index) => ({
      order_id: item + 1,
      line: index + 1,
      sku: skuOf(product),
      quantity,
      amount: money(cents),
      currency: CURRENCY,
    }));

  const products = (item: number, revision: number): ShopRecord[] => {
    const category = draw("product", item).pick(CATEGORIES);
    return [
      {
        sku: skuOf(item),
        name: `${category} ${item + 1}`,
        category,
        price: money(priceOf(item, revision)),
        currency: CURRENCY,
      },
    ];
  };

  const reviews = (item: number, revision: number): ShopRecord[] => {
    const order = orderOf(item);
    const choice = draw("review", item, revision);
    return [
      {
        review_id: `R-${item + 1}`,
        order_id: order + 1,
        sku: skuOf(linesOf(order)[0]!.product),
        email: emailOf(customerOf(order)),
        rating: choice.int(1, 5),
        text: `${choice.pick(SENTENCES)} ${choice.pick(SENTENCES)}`,
        reviewed_at: iso(timeOf(order, sizes.orders) + 10 * DAY + revision * REVISED_AFTER),
      },
    ];
  };

  const adSpend = (item: number, revision: number): ShopRecord[] => {
    const channel = PAID_CHANNELS[item % PAID_CHANNELS.length]!;
    const day = FIRST_DAY + Math.floor(item / PAID_CHANNELS.length) * DAY;
    const choice = draw("spend", item, revision);
    const clicks = choice.int(20, 400);
    return [
      {
        date: iso(day).slice(0, 10),
        platform: channel.platform,
        campaign: channel.campaign,
        utm_source: channel.source,
        utm_medium: channel.medium,
        impressions: clicks * choice.int(20, 60),
        clicks,
        cost: money(clicks * choice.int(20, 90)),
        currency: CURRENCY,
        reported_at: iso(day + DAY + revision * REVISED_AFTER),
      },
    ];
  };

  return [
    { name: "events", count: sizes.events, isMutable: true, records: events },
    { name: "customers", count: sizes.customers, isMutable: true, records: customers },
    { name: "orders", count: sizes.orders, isMutable: true, records: orders },
    { name: "order_lines", count: sizes.orders, isMutable: false, records: orderLines },
    { name: "products", count: productCount, isMutable: true, records: products },
    { name: "reviews", count: reviewCount, isMutable: true, records: reviews },
    { name: "ad_spend", count: 365 * PAID_CHANNELS.length, isMutable: true, records: adSpend },
  ];
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** Cents as an amount. */
function money(cents: number): number {
  return cents / 100;
}

/** A random uuid of version 4 that ends in the item's number, so that no two are equal. */
function uuidOf(random: Random, item: number): string {
  return random.uuid().slice(0, 24) + item.toString(16).padStart(12, "0");
}
