import { PARTED, WITHIN_TIME } from "./limited-sets.ts";
import { BY_HAND, partition } from "./partition.ts";
import { RecordCollector } from "./records.ts";

export interface Rule {
  kind: string;
  limit: number | null;
  sharedAbove: number | null;
  window: { limit: number; days: number } | null;
}
export interface CarryingRecord {
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

/**
 * What the partition says of some records, by their tokens.
 * @param parts where parts begin in which no record comes twice
 */
export function resolve(
  rules: Rule[],
  records: CarryingRecord[],
  blockedTokens: string[],
  decisions: Decision[] = [],
  parts: number[] = [],
): Outcome {
  const collector = new RecordCollector(rules.map((rule) => rule.kind));
  for (const [i, { key, tokens, day }] of records.entries()) {
    if (parts.includes(i)) collector.beginPart();
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
export function resolveNaively(
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

export function withPrefix(prefix: string, text: string | undefined): string | undefined {
  return text === undefined ? undefined : prefix + text;
}

export function kindOf(token: string): string {
  return token.slice(0, Math.max(token.lastIndexOf("_"), 0));
}

export function recordKey(i: number): string {
  return String(i).padStart(16, "0");
}

export function customers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `customer_id_${i}`);
}
