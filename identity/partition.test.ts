import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PARTED, WITHIN_TIME } from "./limited-sets.ts";
import { BY_HAND, partition } from "./partition.ts";
import { RecordCollector } from "./records.ts";

interface Rule {
  kind: string;
  limit: number | null;
  sharedAbove: number | null;
  window: { limit: number; days: number } | null;
}
interface CarryingRecord {
  key: string;
  tokens: string[];
  /** Day on which it happened. */
  day?: number | undefined;
}
interface Decision {
  decision: "merge" | "split";
  pair: [string, string];
}
interface Outcome {
  person: Record<string, string | null>;
  owner: Record<string, string | null>;
  shared: string[];
  merges: string[];
  refusals: string[];
}

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
        expect(resolve(rules, pieces, blocked.toReversed(), decisions.toReversed())).toEqual(
          resolve(rules, records, blocked, decisions),
        );
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

function resolve(
  rules: Rule[],
  records: CarryingRecord[],
  blockedTokens: string[],
  decisions: Decision[] = [],
): Outcome {
  const collector = new RecordCollector(rules.map((rule) => rule.kind));
  for (const { key, tokens, day } of records) {
    const record = collector.addRecord(Buffer.from(key), 0, key.length);
    const seenAt = day === undefined ? NaN : day * 86_400;
    for (const token of tokens) collector.addIdentifier(record, Buffer.from(token), 0, token.length, seenAt);
  }
  const canonical = collector.finish();
  const blocked = new Uint8Array(canonical.kindOf.length);
  for (const token of blockedTokens) {
    const identifier = canonical.find(Buffer.from(token));
    if (identifier !== -1) blocked[identifier] = 1;
  }
  const pairs = (decision: Decision["decision"]) =>
    decisions
      .filter((each) => each.decision === decision)
      .map(({ pair }) => pair.map((token) => canonical.find(Buffer.from(token))).toSorted((a, b) => a - b))
      .filter(([first]) => first !== -1)
      .toSorted((a, b) => canonicalRank(rules, a, canonical.kindOf) - canonicalRank(rules, b, canonical.kindOf)) as [
      number,
      number,
    ][];
  const result = partition({ rules, ...canonical, blocked, joined: pairs("merge"), parted: pairs("split") });
  const token = (identifier: number) => (identifier === -1 ? null : canonical.token(identifier).toString());
  const named = (names: Int32Array) => Object.fromEntries(Array.from(names, (name, i) => [token(i)!, token(name)]));
  const links = ({ stronger, weaker, record }: typeof result.merges) =>
    Array.from(record, (r, i) => {
      const cause = r === BY_HAND ? "hand" : canonical.recordKey(r).toString();
      return `${token(stronger[i]!)} ${token(weaker[i]!)} ${cause}`;
    });
  const why = (reason: number) =>
    reason === PARTED
      ? "split"
      : reason < WITHIN_TIME
        ? rules[reason]!.kind
        : `window:${rules[reason - WITHIN_TIME]!.kind}`;
  return {
    person: named(result.person),
    owner: Object.fromEntries(
      Array.from(result.owner, (owner, record) => [canonical.recordKey(record).toString(), token(owner)]),
    ),
    shared: Array.from(result.shared.keys())
      .filter((i) => result.shared[i])
      .map((i) => token(i)!),
    merges: links(result.merges),
    refusals: links(result.refusals).map((link, i) => `${link} ${why(result.refusals.reason[i]!)}`),
  };
}

function canonicalRank(rules: Rule[], [a, b]: number[], kindOf: Uint16Array): number {
  const size = kindOf.length + 1;
  return ((kindOf[a!]! * rules.length + kindOf[b!]!) * size + a!) * size + b!;
}

/** The same rules with sets of strings and no thought of speed. */
function resolveNaively(
  rules: Rule[],
  records: CarryingRecord[],
  blockedTokens: string[],
  decisions: Decision[],
): Outcome {
  const priority = (token: string) => rules.findIndex((rule) => rule.kind === kindOf(token));
  const byStrength = (a: string, b: string) => priority(a) - priority(b) || (a < b ? -1 : Number(a > b));
  const carried = new Map<string, string[]>();
  for (const { key, tokens } of records.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
    carried.set(
      key,
      [...new Set([...(carried.get(key) ?? []), ...tokens])].filter((t) => priority(t) >= 0),
    );
  }
  for (const tokens of carried.values()) tokens.sort(byStrength);
  const all = [...new Set([...carried.values()].flat())].toSorted(byStrength);

  const hidden = new Set(blockedTokens);
  const shared: string[] = [];
  for (const [strength, { sharedAbove }] of rules.entries()) {
    const found = all.filter((token) => {
      if (sharedAbove === null || priority(token) !== strength || hidden.has(token)) return false;
      const neighbours = new Set<string>();
      for (const tokens of carried.values()) {
        const usable = tokens.filter((t) => !hidden.has(t));
        if (!usable.includes(token)) continue;
        const others = usable[0] === token ? usable.slice(1) : [usable[0]!];
        for (const other of others) if (priority(other) <= strength) neighbours.add(other);
      }
      const strongest = Math.min(...[...neighbours].map(priority));
      return [...neighbours].filter((other) => priority(other) === strongest).length > sharedAbove;
    });
    for (const token of found) hidden.add(token);
    shared.push(...found);
  }

  const links = new Map<string, { stronger: string; weaker: string; key: string }>();
  const owner: Record<string, string | null> = {};
  for (const [key, tokens] of carried) {
    const [stronger, ...others] = tokens.filter((token) => !hidden.has(token));
    owner[key] = stronger ?? null;
    for (const weaker of others) {
      const name = `${stronger} ${weaker}`;
      if (!links.has(name)) links.set(name, { stronger: stronger!, weaker, key });
    }
  }
  const canonical = [...links.values()].toSorted(
    (a, b) =>
      priority(a.stronger) - priority(b.stronger) ||
      priority(a.weaker) - priority(b.weaker) ||
      byStrength(a.stronger, b.stronger) ||
      byStrength(a.weaker, b.weaker),
  );
  const people = all.map((token) => new Set([token]));
  const firstSeen = new Map<string, number>();
  for (const { tokens, day } of records) {
    for (const token of tokens) if (day !== undefined) firstSeen.set(token, Math.min(day, firstSeen.get(token) ?? day));
  }
  /** What several identifiers joined by hand count as: the first of their kind in each such set. */
  const standIn = new Map<string, string>(all.map((token) => [token, token]));
  const setOf = (sets: Set<string>[], token: string) => sets.find((set) => set.has(token))!;
  const unite = (sets: Set<string>[], a: Set<string>, b: Set<string>) => {
    if (a === b) return;
    for (const token of b) a.add(token);
    sets.splice(sets.indexOf(b), 1);
  };
  const merges: string[] = [];
  const refusals: string[] = [];
  const byHand = decisions
    .filter(({ decision }) => decision === "merge")
    .map(({ pair }) => pair.toSorted(byStrength))
    .filter((pair) => pair.every((token) => all.includes(token) && !hidden.has(token)))
    .map(([stronger, weaker]) => ({ stronger: stronger!, weaker: weaker!, key: "hand" }))
    .toSorted(
      (a, b) =>
        priority(a.stronger) - priority(b.stronger) ||
        priority(a.weaker) - priority(b.weaker) ||
        byStrength(a.stronger, b.stronger) ||
        byStrength(a.weaker, b.weaker),
    );
  const partings = decisions.filter(({ decision }) => decision === "split").map(({ pair }) => pair);
  for (const { stronger, weaker, key } of [...byHand, ...canonical]) {
    const [a, b] = [setOf(people, stronger), setOf(people, weaker)];
    if (a === b) continue;
    const both = [...a, ...b];
    const held = (kind: string) => [
      ...new Set(both.filter((token) => kindOf(token) === kind).map((token) => standIn.get(token)!)),
    ];
    const isParted = partings.some((pair) => pair.every((token) => both.includes(token)));
    const isTooMany = ({ kind, limit }: Rule) => limit !== null && held(kind).length > limit;
    const isTooFast = ({ kind, window }: Rule) => {
      if (!window) return false;
      const days = held(kind).flatMap((token) => firstSeen.get(token) ?? []);
      return days.some((from) => days.filter((day) => day >= from && day < from + window.days).length > window.limit);
    };
    const broken =
      key === "hand" ? undefined : (rules.find(isTooMany)?.kind ?? withPrefix("window:", rules.find(isTooFast)?.kind));
    if (isParted || broken) refusals.push(`${stronger} ${weaker} ${key} ${isParted ? "split" : broken}`);
    else {
      if (key === "hand") {
        for (const { kind } of rules) {
          const names = both.filter((token) => kindOf(token) === kind).map((token) => standIn.get(token)!);
          const name = names.find((token) => firstSeen.has(token)) ?? names[0];
          for (const token of both) if (kindOf(token) === kind) standIn.set(token, name!);
        }
      }
      unite(people, a, b);
      merges.push(`${stronger} ${weaker} ${key}`);
    }
  }
  const named = (sets: Set<string>[]) =>
    Object.fromEntries(
      all.map((token) => [token, hidden.has(token) ? null : [...setOf(sets, token)].toSorted(byStrength)[0]!]),
    );
  return {
    person: named(people),
    owner,
    shared: shared.toSorted(byStrength),
    merges,
    refusals,
  };
}

function withPrefix(prefix: string, text: string | undefined): string | undefined {
  return text === undefined ? undefined : prefix + text;
}

function kindOf(token: string): string {
  return token.slice(0, Math.max(token.lastIndexOf("_"), 0));
}

function recordKey(i: number): string {
  return String(i).padStart(16, "0");
}

function customers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `customer_id_${i}`);
}

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
