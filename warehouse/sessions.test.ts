import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { CHANNEL_INPUTS, makeModels } from "../test/models.ts";

let database: TestDatabase;
const rows = async (sql: string) => (await database.pool.query(sql)).rows;
const START = Date.UTC(2026, 0, 1, 12);
const NOBODY = "00000000-0000-0000-0000-000000000000";

beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query(CHANNEL_INPUTS);
  await makeModels(database.pool, ["core.click_ids"]);
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query("truncate core.events, core.record_owners");
});

interface Event {
  /** Minutes after the start. */
  at: number;
  device?: string | null;
  /** Whose it turns out to be, by its device or by what names them. */
  customer?: string | null;
  /** A customer number that it carries. */
  ref?: string | null;
  utm?: string | null;
  page?: string | null;
  referrer?: string | null;
  session?: string | null;
}

interface Session {
  session_id: string;
  customer_id: string;
  from: number;
  to: number;
  events: number;
  source: string | null;
  landing_page: string | null;
}

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

async function land(events: (Event & { id: string })[]): Promise<void> {
  await database.pool.query(
    `with landed as (
       select * from json_to_recordset($1) as e
         (id uuid, at float8, device text, customer uuid, ref text, utm text, page text, referrer text, session text)
     ), owners as (insert into core.record_owners select id, customer from landed where customer is not null)
     insert into core.events (record_key, source, name, occurred_at, device_token, customer_ref, utm_source, page_url, referrer, properties)
     select id, 'web', 'page_viewed', to_timestamp($2 / 1000.0) + at * interval '1 minute', device, ref, utm, page, referrer,
       case when session is not null then jsonb_build_object('session_id', session) end
     from landed`,
    [JSON.stringify(events), START],
  );
}

async function sessions(): Promise<Session[]> {
  await makeModels(database.pool, ["core.visitor_events", "core.sessions"]);
  return (await rows(
    `select session_id, coalesce(customer_id, ops.nobody()) as customer_id, extract(epoch from started_at)::float8 * 1000 as from,
       extract(epoch from ended_at)::float8 * 1000 as to, event_count::int as events, source, landing_page
     from core.sessions left join core.record_owners on record_key = identifying_event_id order by started_at, session_id`,
  ).then((found) =>
    found.map((row) => ({ ...row, from: (row.from - START) / 60_000, to: (row.to - START) / 60_000 })),
  )) as Session[];
}

/** The sessions of some events, whose ids are their places in the list. */
async function sessionsOf(...events: Event[]): Promise<Session[]> {
  await land(events.map((event, n) => ({ ...event, id: uuid(n) })));
  return await sessions();
}

describe("a session", () => {
  test("ends with more than 30 minutes of silence", async () => {
    expect(
      await sessionsOf(
        { at: 0, device: "d" },
        { at: 30, device: "d" },
        { at: 60.02, device: "d" },
        { at: 5, device: "e" },
      ),
    ).toMatchObject([
      { session_id: uuid(0), from: 0, to: 30, events: 2 },
      { session_id: uuid(3), from: 5, to: 5, events: 1 },
      { session_id: uuid(2), events: 1 },
    ]);
  });

  test("ends when the visitor comes back by a new campaign, and not when its page is loaded again", async () => {
    expect(
      await sessionsOf(
        { at: 0, device: "d" },
        { at: 1, device: "d", utm: "newsletter" },
        { at: 2, device: "d" },
        { at: 3, device: "d", utm: "newsletter" },
        { at: 4, device: "d", utm: "google" },
        { at: 5, device: "d", page: "https://s.example/?gclid=1", referrer: "https://www.google.com/" },
        { at: 6, device: "d", page: "https://s.example/?gclid=2" },
        { at: 7, device: "d", referrer: "https://pay.example/" },
      ),
    ).toMatchObject([
      { from: 0, to: 0, events: 1, source: null },
      { from: 1, to: 3, events: 3, source: "newsletter" },
      { from: 4, to: 4, events: 1, source: "google" },
      { from: 5, to: 7, events: 3, source: "google" },
    ]);
  });

  test("begins by the same campaign again after silence, and by a link of it after a direct visit", async () => {
    expect(
      await sessionsOf(
        { at: 0, device: "d", utm: "newsletter" },
        { at: 100, device: "d" },
        { at: 101, device: "d", utm: "newsletter" },
        { at: 200, device: "d", utm: "newsletter" },
      ),
    ).toMatchObject([
      { from: 0, source: "newsletter" },
      { from: 100, events: 1, source: null },
      { from: 101, source: "newsletter" },
      { from: 200, source: "newsletter" },
    ]);
  });

  test("takes in events that arrive late, and is one where they fill the silence", async () => {
    expect(await sessionsOf({ at: 0, device: "d" }, { at: 50, device: "d" })).toHaveLength(2);
    await land([{ id: uuid(9), at: 25, device: "d" }]);
    expect(await sessions()).toMatchObject([{ session_id: uuid(0), from: 0, to: 50, events: 3 }]);
  });

  test("is its device's, else its customer's, and belongs to whom it knows last", async () => {
    const [anna, ben] = [uuid(101), uuid(102)];
    expect(
      await sessionsOf(
        { at: 0, device: "tablet" },
        { at: 1, device: "tablet", ref: "a", customer: anna },
        { at: 2, device: "tablet", ref: "b", customer: ben },
        { at: 3, device: "tablet", customer: NOBODY },
        { at: 4, device: "stranger" },
        { at: 5, ref: "a", customer: anna },
        { at: 6, ref: "a", customer: anna },
        { at: 7 },
        { at: 8, customer: NOBODY },
      ),
    ).toMatchObject([
      { from: 0, to: 3, events: 4, customer_id: ben },
      { from: 4, events: 1, customer_id: NOBODY },
      { from: 5, to: 6, events: 2, customer_id: anna },
    ]);
  });

  test("is its device's owner's where nothing in it names anybody", async () => {
    const [anna, ben] = [uuid(101), uuid(102)];
    expect(
      await sessionsOf(
        { at: 0, device: "d", customer: anna },
        { at: 1, device: "d", customer: anna },
        { at: 100, device: "e", customer: anna },
        { at: 101, device: "e", ref: "b", customer: ben },
        { at: 102, device: "e", customer: anna },
        { at: 200, device: "e", ref: "b", customer: ben },
        { at: 201, device: "e", ref: "b", customer: ben },
      ),
    ).toMatchObject([{ customer_id: anna }, { customer_id: ben }, { customer_id: ben }]);
  });

  test("is what its source says where it parts sessions itself: long, silent, of one device unless its id is unique", async () => {
    const anna = uuid(101);
    expect(
      await sessionsOf(
        { at: 0, device: "d", session: "s1" },
        { at: 1, device: "d", session: "s2" },
        { at: 500, device: "d", ref: "a", customer: anna, session: "s1", utm: "newsletter" },
        { at: 3, device: "x", session: "s1" },
        { at: 4, session: "s9" },
        { at: 5, ref: "a", customer: anna, session: "s9" },
        { at: 6, ref: "a", customer: anna, session: "s9" },
        { at: 7, device: "d", session: "7f1c4a52-90f2-4a53-8d0d-5b9a3c1e77aa" },
        { at: 900, device: "e", session: "7f1c4a52-90f2-4a53-8d0d-5b9a3c1e77aa" },
      ),
    ).toMatchObject([
      { session_id: uuid(0), from: 0, to: 500, events: 2, source: "newsletter", customer_id: anna },
      { session_id: uuid(1), events: 1 },
      { session_id: uuid(3), events: 1, customer_id: NOBODY },
      { session_id: uuid(4), events: 1 },
      { session_id: uuid(5), events: 2, customer_id: anna },
      { session_id: uuid(7), from: 7, to: 900, events: 2 },
    ]);
  });

  test("lands on its first page, though a clock of whole seconds gives it the same time as the next", async () => {
    const inside = { page: "https://s.example/b", referrer: "https://s.example/a" };
    expect(
      await sessionsOf(
        { at: 0, device: "d", ...inside },
        { at: 0, device: "d", page: "https://s.example/a", referrer: "https://www.google.com/" },
        { at: 40, device: "d" },
        { at: 41, device: "d", ...inside },
      ),
    ).toMatchObject([
      { session_id: uuid(1), events: 2, landing_page: "https://s.example/a" },
      { session_id: uuid(2), from: 40, landing_page: "https://s.example/b" },
    ]);
  });
});

/** What the rules say, told without SQL. */
function expectedSessions(
  events: (Event & { id: string })[],
): { ids: string[]; customer: string; source: string | null }[] {
  const visitors = new Map<string, (Event & { id: string })[]>();
  for (const event of events) {
    const visitor = event.device ?? event.ref;
    if (visitor) visitors.set(visitor, [...(visitors.get(visitor) ?? []), event]);
  }
  const result: { ids: string[]; customer: string; isNamed: boolean; source: string | null }[] = [];
  for (const theirs of visitors.values()) {
    theirs.sort((a, b) => a.at - b.at || Number(!a.utm) - Number(!b.utm) || (a.id < b.id ? -1 : 1));
    let previous = -Infinity;
    for (const event of theirs) {
      const current = result.at(-1);
      if (!current || event.at - previous > 30 || (event.utm && event.utm !== current.source)) {
        const [customer, isNamed] = [event.customer ?? NOBODY, Boolean(event.ref)];
        result.push({ ids: [event.id], customer, isNamed, source: event.utm ?? null });
      } else {
        current.ids.push(event.id);
        if (event.ref || !current.isNamed) current.customer = event.customer ?? NOBODY;
        current.isNamed ||= Boolean(event.ref);
      }
      previous = event.at;
    }
  }
  return result;
}

test("sessions are what a walk through each visitor's events finds, in whatever order the events came", async () => {
  const event = fc.record({
    at: fc.integer({ min: 0, max: 12 }).map((step) => step * 10),
    device: fc.constantFrom(null, "d", "e"),
    customer: fc.constantFrom(null, uuid(901), uuid(902)),
    ref: fc.constantFrom(null, null, "f", "g"),
    utm: fc.constantFrom(null, null, null, "a", "b"),
  });
  // A hundred histories of other visitors at once, since making the table costs more than its rows.
  const histories = fc.array(fc.array(event, { maxLength: 12 }), { minLength: 100, maxLength: 100 });
  await fc.assert(
    fc.asyncProperty(histories, fc.infiniteStream(fc.nat()), async (lists, stream) => {
      await database.pool.query("truncate core.events, core.record_owners");
      const own = (id: string | null | undefined, history: number) =>
        id ? `${id.slice(0, 24)}${String(history).padStart(4, "0")}${id.slice(28)}` : null;
      const events = lists.flatMap((list, history) =>
        list.map((one, n) => ({
          ...one,
          id: uuid(history * 1000 + n),
          device: one.device && `${one.device}${history}`,
          ref: one.ref && `${one.ref}${history}`,
          customer: own(one.customer, history),
        })),
      );
      const shuffled = events
        .map((one) => ({ one, rank: stream.next().value as number }))
        .toSorted((a, b) => a.rank - b.rank)
        .map(({ one }) => one);
      await land(shuffled);
      const found = (await sessions()).map(({ session_id, customer_id, events: count, source }) => ({
        session_id,
        customer_id,
        count,
        source,
      }));
      const expected = expectedSessions(events).map(({ ids, customer, source }) => ({
        session_id: ids[0] as string,
        customer_id: customer,
        count: ids.length,
        source,
      }));
      const byId = (a: { session_id: string }, b: { session_id: string }) => (a.session_id < b.session_id ? -1 : 1);
      expect(found.toSorted(byId)).toEqual(expected.toSorted(byId));
    }),
    { numRuns: 15 },
  );
});
