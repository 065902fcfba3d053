import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { normaliseIdentifier } from "../privacy/normalise.ts";
import { parisDay, parseDay } from "./calendar.ts";
import { readPurchases } from "./cdnow.ts";
import { storeFiles } from "./files.ts";
import { generateStore, type Store } from "./generate.ts";
import { groupBy } from "./group-by.ts";
import { PRICE_FACTOR } from "./orders.ts";
import { shopRows } from "./shop-rows.ts";

const DATE = "2026-11-24";
let store: Store;
let text: Map<string, string>;

beforeAll(() => {
  store = generateStore({ date: DATE });
  text = storeFiles(store);
});

const everything = (of: Store) => JSON.stringify([[...storeFiles(of)], [...shopRows(of)]]);

describe("a generation", () => {
  it("is the same for the same seed and date, and another one otherwise", () => {
    expect(everything(generateStore({ date: DATE }))).toBe(everything(store));
    expect(generateStore({ date: DATE, seed: 7 }).people[0]).not.toEqual(store.people[0]);
    expect(generateStore({ date: "2026-11-25" }).orders[0]?.orderedAt).toBe(
      (store.orders[0]?.orderedAt ?? 0) + 86_400_000,
    );
  });

  it("keeps its people when the date moves on", () => {
    const names = (of: Store) =>
      of.people.map((person) => [person.given, person.family, person.typedPhone, person.birthDate]);
    expect(names(generateStore({ date: "2027-03-01" }))).toEqual(names(store));
  });

  it("ends on the day before its date", () => {
    const last = store.orders.at(-1)?.orderedAt ?? 0;
    expect(parisDay(last)).toBe(parseDay(DATE) - 1);
    const midnight = Date.parse("2026-11-23T23:00:00Z");
    const instants = [
      ...store.events.map((event) => event.occurred_at),
      ...store.reviews.map((review) => review.reviewed_at),
      ...store.consents.map((consent) => consent.occurred_at),
      ...store.orders.flatMap((order) => order.deliveredAt ?? []),
    ].map((instant) => new Date(instant).getTime());
    expect(instants.filter((instant) => !(instant < midnight))).toEqual([]);
  });

  it("has 30,000 to 50,000 records", () => {
    const { customers, orders, order_lines, products, events, reviews, ad_spend_rows, consents } = store.truth.counts;
    const total = customers + orders + order_lines + products + events + reviews + ad_spend_rows + consents;
    expect(total).toBeGreaterThan(30_000);
    expect(total).toBeLessThan(50_000);
  });
});

describe("the orders", () => {
  it("are the 6,919 purchases of 2,357 customers, at ten times their dollars", () => {
    expect(store.orders).toHaveLength(6_919);
    expect(new Set(store.orders.map((order) => order.person.customer)).size).toBe(2_357);
    expect(store.truth.counts.revenue).toBe("2440919.40");
    const dayAndAmount = (customer: number, day: number, amount: number) => `${customer} ${day} ${amount}`;
    const shift = parseDay(DATE) - 1 - parseDay("1998-06-30");
    expect(
      store.orders
        .map((order) => dayAndAmount(order.person.customer, parisDay(order.orderedAt) - shift, order.amount))
        .sort(),
    ).toEqual(
      readPurchases()
        .map(({ customer, day, cents }) => dayAndAmount(customer, day, cents * PRICE_FACTOR))
        .sort(),
    );
  });

  it("have lines that add up to the cent and hold as many articles as CDs were bought", () => {
    for (const order of store.orders) {
      expect(order.lines.reduce((sum, line) => sum + line.amount, 0)).toBe(order.amount);
      expect(order.lines.every((line) => line.amount >= 0 && line.quantity > 0)).toBe(true);
    }
    expect(store.orders.flatMap((order) => order.lines).reduce((sum, line) => sum + line.quantity, 0)).toBe(16_479);
  });

  it("sell at most lines at a discount of less than half", () => {
    const lines = store.orders.flatMap((order) => order.lines);
    const plausible = lines.filter((line) => {
      const share = line.amount / line.quantity / line.product.price;
      return share > 0.5 && share <= 1.0001;
    });
    expect(plausible.length / lines.length).toBeGreaterThan(0.99);
  });
});

describe("the people", () => {
  it("typed addresses and numbers that normalise to the truth", () => {
    for (const person of store.people) {
      const email = person.typedEmail && normaliseIdentifier("email", person.typedEmail, "FR");
      expect(person.emails[0] ? [person.emails[0]] : [null, ...store.truth.identity.blocked_emails]).toContain(email);
      const phone = person.typedPhone && normaliseIdentifier("phone", person.typedPhone, "FR");
      expect(phone).toBe(person.phones[0] ?? person.household?.phone ?? null);
    }
  });

  it("share no address, number or device of their own", () => {
    for (const kind of ["emails", "phones", "devices"] as const) {
      const all = store.truth.identity.people.flatMap((person) => person[kind]);
      expect(new Set(all).size).toBe(all.length);
    }
    expect(Math.max(...store.truth.identity.people.map((person) => person.emails.length))).toBeLessThanOrEqual(5);
  });

  it("have addresses under reserved domains only", () => {
    const all = JSON.stringify([[...text], [...shopRows(store)]]);
    const domains = new Set(
      [...all.matchAll(/(?:@|%40)([\p{L}\p{N}.-]*[\p{L}\p{N}])/gu)].map((match) => match[1]?.toLowerCase() ?? ""),
    );
    expect(domains.size).toBeGreaterThan(8);
    expect([...domains].filter((domain) => !/(\.example|\.test|^example\.com)$/.test(domain))).toEqual([]);
  });

  it("are tied to every address and device of theirs by some record", () => {
    const linked = new Map<string, Set<string>>();
    const link = (...identifiers: string[]) => {
      for (const one of identifiers)
        for (const other of identifiers) linked.set(one, (linked.get(one) ?? new Set()).add(other));
    };
    const email = (typed: string) => `email ${normaliseIdentifier("email", typed, "FR")}`;
    for (const { customer, typedEmail } of store.people) if (typedEmail) link(`account ${customer}`, email(typedEmail));
    for (const order of store.orders)
      if (order.typedEmail) link(`account ${order.person.customer}`, email(order.typedEmail));
    for (const event of store.events) {
      link(
        `device ${event.device_id}`,
        ...(event.user_id ? [`account ${event.user_id}`] : []),
        ...(event.email ? [email(event.email)] : []),
      );
    }
    for (const person of store.truth.identity.people) {
      const reached = new Set([`account ${person.customer_id}`]);
      for (const identifier of reached) {
        if (person.devices.includes(identifier.slice(7)) || !identifier.startsWith("device ")) {
          for (const other of linked.get(identifier) ?? []) reached.add(other);
        }
      }
      const own = [
        ...person.emails.map((address) => `email ${address}`),
        ...person.devices.map((device) => `device ${device}`),
      ];
      expect(own.filter((identifier) => !reached.has(identifier))).toEqual([]);
    }
    const known = new Set(store.truth.identity.people.flatMap((person) => person.emails));
    const elsewhere = [...store.reviews, ...store.consents].map(
      (row) => normaliseIdentifier("email", row.email, "FR") ?? "",
    );
    expect(elsewhere.filter((address) => !known.has(address))).toEqual([]);
  });

  it("share tablets: six with more than four accounts, twelve with fewer", () => {
    const accounts = groupBy(
      store.events.filter((event) => event.user_id),
      (event) => event.device_id,
    );
    const { households } = store.truth.identity;
    expect(households.map(({ is_shared }) => is_shared).filter(Boolean)).toHaveLength(6);
    expect(households).toHaveLength(18);
    for (const { tablet, customer_ids, is_shared } of households) {
      const seen = new Set(accounts.get(tablet)?.map((event) => event.user_id));
      expect([...seen].sort()).toEqual([...customer_ids].sort());
      expect(seen.size > 4).toBe(is_shared);
    }
    const shared = new Set(households.map(({ tablet }) => tablet));
    const alone = [...accounts].filter(([device]) => !shared.has(device)).map(([, events]) => events);
    expect(alone.filter((events) => new Set(events.map((event) => event.user_id)).size > 1)).toEqual([]);
  });
});

describe("the truth", () => {
  it("names a first channel that the pages can see for 95% of the orders", () => {
    const visible = store.truth.orders.filter((order) => order.hidden_because === null && order.first_channel !== null);
    expect(visible.length / store.truth.orders.length).toBeGreaterThan(0.95);
  });

  it("agrees with the events on how each order began", () => {
    const landings = groupBy(
      store.events.filter((event) => !event.referrer?.startsWith("https://www.elektra.example")),
      (event) => event.device_id,
    );
    const devices = new Map(store.truth.identity.people.map((person) => [person.customer_id, person.devices]));
    const disagreeing = store.truth.orders.filter((truth, index) => {
      const orderedAt = store.orders[index]?.orderedAt ?? 0;
      if (truth.hidden_because || truth.first_channel === null) return false;
      const first = (devices.get(truth.customer_id) ?? [])
        .flatMap((device) => landings.get(device) ?? [])
        .filter(
          ({ occurred_at }) =>
            Date.parse(occurred_at) <= orderedAt && Date.parse(occurred_at) >= orderedAt - 30 * 86_400_000,
        )
        .sort((a, b) => Date.parse(a.occurred_at) - Date.parse(b.occurred_at))[0];
      if (!first) return true;
      const isPaid =
        /^(cpc|cpv|paid_social|retargeting|display)$/.test(first.utm_medium ?? "") ||
        (first.page_url.includes("gclid=") && !first.utm_medium);
      return (
        isPaid !== (truth.first_channel.startsWith("Paid") || truth.first_channel === "Display") ||
        (truth.first_channel === "Direct") !== (!first.referrer && !first.utm_source)
      );
    });
    expect(disagreeing).toEqual([]);
  });

  it("parts the visits of a person by more than 30 minutes of silence, and has none within a visit", () => {
    const byDevice = groupBy(store.events, (event) => event.device_id);
    for (const { devices } of store.truth.identity.people) {
      const events = devices.flatMap((device) => byDevice.get(device) ?? []);
      events.sort((a, b) => Date.parse(a.occurred_at) - Date.parse(b.occurred_at));
      events.forEach((event, index) => {
        const silence = Date.parse(event.occurred_at) - Date.parse(events[index - 1]?.occurred_at ?? "1970-01-01");
        const isInside = event.referrer?.startsWith("https://www.elektra.example") ?? false;
        expect(silence > 30 * 60_000).toBe(!isInside);
      });
    }
  });

  it.each(["2026-11-24", "2026-12-31", "2027-02-28", "2027-08-01", "2028-03-01"])(
    "has one bad month whatever the day is: %s",
    (date) => {
      const { bad_month, counts } = generateStore({ date }).truth;
      expect(counts.orders).toBe(6_919);
      expect(bad_month.late_reviews).toBeGreaterThanOrEqual(10);
      expect(bad_month.mean_rating).toBeLessThan(bad_month.mean_rating_otherwise - 0.5);
    },
  );

  it("counts the records that are broken on purpose", () => {
    const { quarantined } = store.truth;
    expect(quarantined.total).toBe(10);
    const lines = [...text.values()].join("").split("\n");
    for (const { line } of store.broken) expect(lines.filter((other) => other === line)).toHaveLength(1);
  });
});

describe("the four example segments", () => {
  const recent = (days: number) => Date.parse("2026-11-24") - days * 86_400_000;

  it("find champions and customers at risk", () => {
    const own = [...groupBy(store.orders, (order) => order.person).values()];
    const lastOf = (orders: typeof store.orders) => orders.at(-1)?.orderedAt ?? 0;
    expect(own.filter((orders) => orders.length >= 5 && lastOf(orders) > recent(60)).length).toBeGreaterThan(50);
    expect(own.filter((orders) => orders.length >= 5 && lastOf(orders) < recent(180)).length).toBeGreaterThan(50);
  });

  it("find customers who saw a video in the last 14 days and did not buy", () => {
    const owners = new Map(
      store.truth.identity.people.flatMap(({ customer_id, devices }) =>
        devices.map((device) => [device, customer_id] as const),
      ),
    );
    const lastOrder = new Map(store.orders.map((order) => [order.person.customer, order.orderedAt]));
    const watchers = new Set(
      store.events.flatMap((event) => {
        const owner = owners.get(event.device_id);
        const at = Date.parse(event.occurred_at);
        return event.event === "video_watched" && at > recent(14) && owner && (lastOrder.get(owner) ?? 0) < at
          ? [owner]
          : [];
      }),
    );
    expect(watchers.size).toBeGreaterThan(30);
  });

  it("find the unhappy", () => {
    expect(
      store.reviews.filter((review) => review.rating <= 2 && Date.parse(review.reviewed_at) > recent(90)).length,
    ).toBeGreaterThan(10);
  });
});

it("ships the purchase histories with their licence", () => {
  expect(readFileSync(new URL("./cdnow/LICENSE", import.meta.url), "utf8")).toContain("MIT License");
});
