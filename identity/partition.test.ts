import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { customers, kindOf, recordKey, resolve, resolveNaively, type Rule } from "./test-partition.ts";

const KINDS = ["customer_id", "email", "phone", "device_id"];

describe("whatever the records", () => {
  test("the outcome is that of the rules as written down", () => {
    fc.assert(
      fc.property(situations, ({ rules, records, blocked, decisions }) => {
        expect(resolve(rules, records, blocked, decisions)).toEqual(resolveNaively(rules, records, blocked, decisions));
      }),
      { numRuns: 1_000 },
    );
  });

  test("order, batches, repeated deliveries and records in pieces change nothing", () => {
    const deliveries = situations.chain((situation) => {
      const pieces = situation.records.flatMap(({ key, tokens, day }) => [
        { key, tokens, day },
        ...tokens.map((token) => ({ key, tokens: [token, token], day })),
      ]);
      return fc.record({
        situation: fc.constant(situation),
        first: fc.shuffledSubarray(situation.records, { minLength: situation.records.length }),
        again: fc.shuffledSubarray(pieces),
      });
    });
    fc.assert(
      fc.property(deliveries, ({ situation: { rules, records, blocked, decisions }, first, again }) => {
        const pieces = [...again, ...first, ...again];
        const expected = resolve(rules, records, blocked, decisions);
        expect(resolve(rules, pieces, blocked.toReversed(), decisions.toReversed())).toEqual(expected);
        const once = [...new Map(again.map((piece) => [piece.key, piece])).values()];
        const parts = [0, once.length, once.length + first.length];
        expect(resolve(rules, [...once, ...first, ...once], blocked, decisions, parts)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test("nobody holds more identifiers of a kind than its limit", () => {
    fc.assert(
      fc.property(situations, ({ rules, records, blocked }) => {
        const { person } = resolve(rules, records, blocked);
        const held = new Map<string, number>();
        for (const [token, name] of Object.entries(person)) {
          if (name !== null) held.set(`${name} ${kindOf(token)}`, (held.get(`${name} ${kindOf(token)}`) ?? 0) + 1);
        }
        for (const [holding, count] of held) {
          const rule = rules.find(({ kind }) => kind === holding.split(" ")[1])!;
          expect(count).toBeLessThanOrEqual(rule.limit ?? Infinity);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("people are the same as if shared and blocked identifiers had never been carried", () => {
    fc.assert(
      fc.property(situations, ({ rules, records, blocked }) => {
        const { person, shared, merges, refusals } = resolve(rules, records, blocked);
        const hidden = new Set([...shared, ...blocked]);
        const without = resolve(
          rules.map((rule) => ({ ...rule, sharedAbove: null })),
          records.map(({ tokens, ...rest }) => ({ ...rest, tokens: tokens.filter((token) => !hidden.has(token)) })),
          [],
        );
        expect({ merges, refusals }).toEqual({ merges: without.merges, refusals: without.refusals });
        for (const [token, name] of Object.entries(person)) {
          expect(name).toBe(hidden.has(token) ? null : without.person[token]);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("merges are exactly what connects people, and a refused link never connects", () => {
    fc.assert(
      fc.property(situations, ({ rules, records, blocked }) => {
        const { person, merges, refusals } = resolve(rules, records, blocked);
        const known = Object.entries(person).filter(([, name]) => name !== null);
        expect(merges).toHaveLength(known.length - new Set(known.map(([, name]) => name)).size);
        for (const [stronger, weaker] of merges.map((merge) => merge.split(" "))) {
          expect(person[stronger!]).toBe(person[weaker!]);
        }
        for (const [stronger, weaker] of refusals.map((refusal) => refusal.split(" "))) {
          expect(person[stronger!]).not.toBe(person[weaker!]);
        }
      }),
      { numRuns: 500 },
    );
  });
});

const RULES: Rule[] = [
  { kind: "customer_id", limit: 1, sharedAbove: null, window: null },
  { kind: "email", limit: 5, sharedAbove: null, window: null },
  { kind: "phone", limit: 3, sharedAbove: 3, window: null },
  { kind: "device_id", limit: 50, sharedAbove: 4, window: null },
];

test("a source that ties thousands of customers to one value makes no two of them one person", () => {
  const records = customers(5_000).map((token, i) => ({ key: recordKey(i), tokens: [token, "email_noreply"] }));
  const { person, refusals } = resolve(RULES, records, []);
  expect(new Set(Object.values(person)).size).toBe(5_000);
  expect(refusals).toHaveLength(4_999);
  expect(new Set(refusals.map((refusal) => refusal.split(" ")[3]))).toEqual(new Set(["customer_id"]));

  const sharing = RULES.map((rule) => (rule.kind === "email" ? { ...rule, sharedAbove: 10 } : rule));
  const bounded = resolve(sharing, records, []);
  expect(bounded).toMatchObject({ shared: ["email_noreply"], refusals: [], merges: [] });
});

test("a source that ties thousands of e-mail addresses to one value makes nobody of more than five", () => {
  const rules = RULES.map((rule) => ({ ...rule, sharedAbove: null }));
  const records = Array.from({ length: 5_000 }, (_, i) => ({ key: recordKey(i), tokens: [`email_${i}`, "phone_1"] }));
  const { person, refusals } = resolve(rules, records, []);
  expect(new Set(Object.values(person)).size).toBe(4_996);
  expect(refusals).toHaveLength(4_995);
});

test("a family tablet links nobody; who is signed in on it is still known", () => {
  const family = customers(5);
  const records = [
    ...family.map((token, i) => ({ key: recordKey(i), tokens: [token, "device_id_tablet"] })),
    { key: recordKey(5), tokens: ["device_id_tablet"] },
  ];
  const { shared, owner, person } = resolve(RULES, records, []);
  expect(shared).toEqual(["device_id_tablet"]);
  expect(person["device_id_tablet"]).toBeNull();
  expect(owner).toEqual({
    ...Object.fromEntries(family.map((token, i) => [recordKey(i), token])),
    [recordKey(5)]: null,
  });
});

test("an e-mail address seen on many devices is one person with many devices, not a shared address", () => {
  const rules = RULES.map((rule) => ({ ...rule, sharedAbove: 4 }));
  const records = Array.from({ length: 30 }, (_, i) => ({ key: recordKey(i), tokens: ["email_a", `device_id_${i}`] }));
  const { shared, person } = resolve(rules, records, []);
  expect(shared).toEqual([]);
  expect(new Set(Object.values(person))).toEqual(new Set(["email_a"]));
});

test("identifiers that meet only beside a shared one are linked to each other", () => {
  const records = [
    ...customers(6).map((token, i) => ({ key: recordKey(i), tokens: [token, "phone_switchboard"] })),
    { key: recordKey(6), tokens: ["phone_switchboard", "device_id_1", "email_a"] },
    { key: recordKey(7), tokens: ["phone_switchboard", "device_id_1"] },
  ];
  const { person, owner } = resolve(RULES, records, []);
  expect(person["device_id_1"]).toBe("email_a");
  expect(owner[recordKey(7)]).toBe("device_id_1");
});

test("kinds that the rules don't name link nobody and are nobody's", () => {
  const { person, owner } = resolve(RULES, [{ key: recordKey(1), tokens: ["loyalty_1", "nonsense", "_", ""] }], []);
  expect(person).toEqual({});
  expect(owner).toEqual({ [recordKey(1)]: null });
});

const situations = fc
  .record({
    rules: fc.tuple(
      ...KINDS.map((kind) =>
        fc.record({
          kind: fc.constant(kind),
          limit: fc.option(fc.integer({ min: 1, max: 3 })),
          sharedAbove: fc.option(fc.integer({ min: 1, max: 3 })),
          window: fc.option(fc.record({ limit: fc.integer({ min: 1, max: 2 }), days: fc.integer({ min: 1, max: 5 }) })),
        }),
      ),
    ),
    carried: fc.array(
      fc.record({
        tokens: fc.array(fc.tuple(fc.constantFrom(...KINDS, "unlisted"), fc.integer({ min: 0, max: 5 })), {
          maxLength: 4,
        }),
        day: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
      }),
      { maxLength: 25 },
    ),
    decisions: fc.uniqueArray(
      fc.record({
        decision: fc.constantFrom("merge" as const, "split" as const),
        pair: fc
          .uniqueArray(
            fc
              .tuple(fc.constantFrom(...KINDS), fc.integer({ min: 0, max: 5 }))
              .map(([kind, value]) => `${kind}_${value}`),
            { minLength: 2, maxLength: 2 },
          )
          .map((pair) => pair as [string, string]),
      }),
      { maxLength: 3, selector: ({ pair }) => pair.toSorted().join(" ") },
    ),
    blocked: fc.array(fc.tuple(fc.constantFrom(...KINDS), fc.integer({ min: 0, max: 5 })), { maxLength: 2 }),
  })
  .map(({ rules, carried, blocked, decisions }) => ({
    rules,
    decisions,
    records: carried.map(({ tokens, day }, i) => ({
      key: recordKey(i),
      day,
      tokens: tokens.map(([kind, value]) => `${kind}_${value}`),
    })),
    blocked: blocked.map(([kind, value]) => `${kind}_${value}`),
  }));
