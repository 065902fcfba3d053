import fc from "fast-check";
import { expect, test } from "vitest";
import { addBusinessDays, addDays, addMonths, dayAt, endOfDay } from "./calendar.ts";
import { JURISDICTIONS, readClock } from "./clocks.ts";

const ZONES = ["UTC", "Europe/Paris", "America/Los_Angeles", "Pacific/Auckland", "Africa/Cairo", "America/Havana"];
const instant = fc.date({ min: new Date("2000-01-01"), max: new Date("2099-12-31"), noInvalidDate: true });
const day = instant.map((date) => date.toISOString().slice(0, 10));
const zone = fc.constantFrom(...ZONES);

const clock = (jurisdiction: string | null, receivedAt: string, kind = "erasure", timeZone = "UTC") =>
  readClock({ jurisdiction, kind, receivedAt: new Date(receivedAt), identifiedAt: null, isExtended: false }, timeZone);

test.each([
  ["2027-01-31", 1, "2027-02-28"],
  ["2028-01-31", 1, "2028-02-29"],
  ["2028-02-29", 1, "2028-03-29"],
  ["2027-11-30", 3, "2028-02-29"],
  ["2027-12-15", 1, "2028-01-15"],
  ["2028-02-29", 12, "2029-02-28"],
])("%s and %i months is %s", (from, months, to) => expect(addMonths(from, months)).toBe(to));

test.each([
  ["a Friday", "2027-01-01", 1, "2027-01-04"],
  ["a Saturday", "2027-01-02", 1, "2027-01-04"],
  ["a Monday", "2027-01-04", 10, "2027-01-18"],
  ["a Friday, over two weekends", "2027-01-01", 10, "2027-01-15"],
])("business days are counted from the day after %s", (_, from, count, to) =>
  expect(addBusinessDays(from, count)).toBe(to),
);

test.each([
  ["2027-03-28", "Europe/Paris", "2027-03-28T21:59:59.999Z"],
  ["2027-10-31", "Europe/Paris", "2027-10-31T22:59:59.999Z"],
  ["2027-03-14", "America/Los_Angeles", "2027-03-15T06:59:59.999Z"],
  // At midnight it becomes one o'clock.
  ["2024-04-25", "Africa/Cairo", "2024-04-25T21:59:59.999Z"],
  ["2011-12-29", "Pacific/Apia", "2011-12-30T09:59:59.999Z"],
  ["2027-06-30", "Pacific/Kiritimati", "2027-06-30T09:59:59.999Z"],
])("%s ends in %s at %s", (date, timeZone, end) => expect(endOfDay(date, timeZone).toISOString()).toBe(end));

test("a day ends where the next begins, in every time zone", () => {
  fc.assert(
    fc.property(day, zone, (date, timeZone) => {
      const end = endOfDay(date, timeZone);
      expect(dayAt(end, timeZone)).toBe(date);
      expect(dayAt(new Date(end.getTime() + 1), timeZone)).toBe(addDays(date, 1));
    }),
    { numRuns: 60 },
  );
});

test("months never leave the month they lead to, and days of the same number stay the same", () => {
  fc.assert(
    fc.property(day, fc.integer({ min: 0, max: 48 }), (from, count) => {
      const to = addMonths(from, count);
      const months = (date: string) => Number(date.slice(0, 4)) * 12 + Number(date.slice(5, 7));
      expect(months(to) - months(from)).toBe(count);
      const kept = to.slice(8) === from.slice(8);
      expect(kept || (to.slice(8) < from.slice(8) && addDays(to, 1).endsWith("-01"))).toBe(true);
    }),
  );
});

test("so many business days lie between, and the last is one itself", () => {
  const isBusinessDay = (date: string) => ![0, 6].includes(new Date(date).getUTCDay());
  fc.assert(
    fc.property(day, fc.integer({ min: 1, max: 60 }), (from, count) => {
      const to = addBusinessDays(from, count);
      let counted = 0;
      for (let at = addDays(from, 1); at <= to; at = addDays(at, 1)) if (isBusinessDay(at)) counted += 1;
      expect([counted, isBusinessDay(to)]).toEqual([count, true]);
    }),
  );
});

test("the GDPR gives a month from receipt, and three in all with notice", () => {
  expect(clock("EU", "2027-01-31T10:00:00Z")).toMatchObject({
    rule: "gdpr_12_3",
    acknowledge: null,
    answer: { day: "2027-02-28", at: "2027-02-28T23:59:59.999Z" },
    extended: { day: "2027-04-30" },
  });
});

test("the day of receipt is the one of the project's time zone", () => {
  expect(clock("EU", "2027-01-31T23:30:00Z", "access", "Europe/Paris").answer).toEqual({
    day: "2027-03-01",
    at: "2027-03-01T22:59:59.999Z",
  });
});

test("California gives 10 business days to confirm, 45 days to answer and 90 in all, and 15 business days for an opt-out", () => {
  expect(clock("US-CA", "2027-01-01T12:00:00Z")).toMatchObject({
    rule: "ccpa_7021",
    acknowledge: { day: "2027-01-15" },
    answer: { day: "2027-02-15" },
    extended: { day: "2027-04-01" },
  });
  for (const kind of ["opt_out", "limit"]) {
    expect(clock("US-CA", "2027-01-01T12:00:00Z", kind)).toMatchObject({
      rule: "ccpa_7026",
      answer: { day: "2027-01-22" },
      extended: null,
    });
  }
});

// 29 February and the 31st, with weekends and holidays on the way: Christmas and New Year count as business days, so that
// an end is never later than by any list of holidays.
test.each([
  ["EU", "erasure", "2027-01-31", null, "2027-02-28", "2027-04-30"],
  ["EU", "erasure", "2028-01-31", null, "2028-02-29", "2028-04-30"],
  ["EU", "access", "2028-02-29", null, "2028-03-29", "2028-05-29"],
  ["EU", "opt_out", "2027-11-30", null, "2027-12-30", "2028-02-29"],
  ["UK", "erasure", "2027-01-31", null, "2027-02-28", "2027-04-30"],
  ["UK", "access", "2028-01-31", null, "2028-02-29", "2028-04-30"],
  ["UK", "opt_out", "2028-02-29", null, "2028-03-29", "2028-05-29"],
  ["US-CA", "erasure", "2027-01-31", "2027-02-12", "2027-03-17", "2027-05-01"],
  ["US-CA", "access", "2028-01-31", "2028-02-14", "2028-03-16", "2028-04-30"],
  ["US-CA", "erasure", "2028-02-29", "2028-03-14", "2028-04-14", "2028-05-29"],
  ["US-CA", "access", "2026-12-18", "2027-01-01", "2027-02-01", "2027-03-18"],
  ["US-CA", "opt_out", "2026-12-18", null, "2027-01-08", null],
  ["US-CA", "limit", "2028-02-26", null, "2028-03-17", null],
])(
  "in %s a request of kind %s of %s is confirmed by %s and answered by %s, or by %s",
  (law, kind, day, confirmed, answered, extended) => {
    const { acknowledge, answer, extended: longest } = clock(law, `${day}T12:00:00Z`, kind);
    expect([acknowledge?.day ?? null, answer.day, longest?.day ?? null]).toEqual([confirmed, answered, extended]);
  },
);

test("every jurisdiction has its edges of the calendar tried", () =>
  expect(JURISDICTIONS).toEqual(["EU", "UK", "US-CA"]));

test("in the United Kingdom the clock starts when the person is identified, elsewhere it does not wait", () => {
  const of = (jurisdiction: string) =>
    readClock(
      {
        jurisdiction,
        kind: "erasure",
        receivedAt: new Date("2027-03-01T12:00:00Z"),
        identifiedAt: new Date("2027-03-10T12:00:00Z"),
        isExtended: false,
      },
      "UTC",
    );
  expect(of("UK")).toMatchObject({ rule: "uk_gdpr_12a", answer: { day: "2027-04-10" } });
  expect(of("EU").answer.day).toBe("2027-04-01");
  expect(of("US-CA").acknowledge?.day).toBe("2027-03-15");
});

test("whoever's law is not known gets the strictest clock, and one without a rule is told", () => {
  expect(clock(null, "2027-01-01T00:00:00Z").rule).toBe("gdpr_12_3");
  expect(clock(null, "2027-01-01T00:00:00Z", "opt_out").rule).toBe("ccpa_7026");
  expect(() => clock("constructor", "2027-01-01T00:00:00Z")).toThrow(/jurisdiction: .*EU, UK, US-CA/);
});

test("reminders come after 10, 20 and 27 of 30 days", () => {
  const { warnings } = clock("EU", "2027-04-01T00:00:00Z");
  expect(warnings.map((at) => at.slice(0, 10))).toEqual(["2027-04-11", "2027-04-21", "2027-04-28"]);
});

test("everything of a clock lies in its order, and an extension is never shorter", () => {
  fc.assert(
    fc.property(fc.constantFrom(...JURISDICTIONS), instant, zone, (jurisdiction, receivedAt, timeZone) => {
      const { warnings, answer, extended, acknowledge } = readClock(
        { jurisdiction, kind: "access", receivedAt, identifiedAt: null, isExtended: false },
        timeZone,
      );
      const times = [receivedAt.toISOString(), ...warnings, answer.at, extended?.at ?? answer.at];
      expect(times).toEqual(times.toSorted());
      if (acknowledge) expect(acknowledge.at < answer.at).toBe(true);
    }),
    { numRuns: 60 },
  );
});
