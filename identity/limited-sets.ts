import { DisjointSets } from "./disjoint-sets.ts";
import type { LinkedRecords } from "./linked-records.ts";

/** What became of a link: it made two people one, its ends were one already, or it was refused for a reason below. */
export const MERGED = -1;
export const ALREADY_ONE = -2;
/** Somebody decided that two identifiers of the two people belong to different people. */
export const PARTED = -3;
/** Beyond `kind` for a limit per person: a limit per span of time is told as kind + WITHIN_TIME. */
export const WITHIN_TIME = 1 << 16;

const SECONDS_PER_DAY = 86_400;

/**
 * Sets of identifiers that refuse a union which would break a rule. Rules are such that a union once refused would be
 * refused for ever, since sets only grow.
 */
export class LimitedSets extends DisjointSets {
  readonly #kinds: number[] = [];
  readonly #limits: number[] = [];
  /** For each representative, how many identifiers of each limited kind its set holds. */
  readonly #held: Int32Array;
  readonly #windows: { kind: number; limit: number; seconds: number; seen: Map<number, number[]> }[] = [];
  /** For each representative, the identifiers that somebody said belong to others than some of its own. */
  readonly #strangers = new Map<number, number[]>();

  constructor({ rules, kindOf, firstSeen, parted }: LinkedRecords) {
    super(kindOf.length);
    const column = new Int32Array(rules.length).fill(-1);
    for (const [kind, rule] of rules.entries()) {
      if (rule.limit !== null) {
        column[kind] = this.#kinds.push(kind) - 1;
        this.#limits.push(rule.limit);
      }
      if (rule.window) {
        const { limit, days } = rule.window;
        this.#windows.push({ kind, limit, seconds: days * SECONDS_PER_DAY, seen: seenOfKind(kindOf, firstSeen, kind) });
      }
    }
    this.#held = new Int32Array(kindOf.length * this.#kinds.length);
    for (let identifier = 0; identifier < kindOf.length; identifier++) {
      const at = column[kindOf[identifier]!]!;
      if (at !== -1) this.#held[identifier * this.#kinds.length + at] = 1;
    }
    for (const [a, b] of parted) {
      push(this.#strangers, a, b);
      push(this.#strangers, b, a);
    }
  }

  /**
   * Makes the people of two identifiers one; returns MERGED, ALREADY_ONE, PARTED, or the kind whose limit forbids it.
   * @param isByHand somebody decided it: what both hold of a kind counts as one
   */
  merge(identifier: number, other: number, isByHand = false): number {
    const [a, b] = [this.find(identifier), this.find(other)];
    if (a === b) return ALREADY_ONE;
    if (this.#strangers.size && this.#areStrangers(a, b)) return PARTED;
    const width = this.#kinds.length;
    const held = this.#held;
    if (!isByHand) {
      for (let i = 0; i < width; i++) {
        if (held[a * width + i]! + held[b * width + i]! > this.#limits[i]!) return this.#kinds[i]!;
      }
      for (const { kind, limit, seconds, seen } of this.#windows) {
        const times = mergeSorted(seen.get(a) ?? [], seen.get(b) ?? []);
        if (times.some((time, i) => i >= limit && time - times[i - limit]! < seconds)) return kind + WITHIN_TIME;
      }
    }
    const kept = this.unite(a, b);
    const absorbed = kept === a ? b : a;
    for (let i = 0; i < width; i++) {
      const [ofKept, ofAbsorbed] = [held[kept * width + i]!, held[absorbed * width + i]!];
      held[kept * width + i] = isByHand ? Math.max(ofKept, ofAbsorbed) : ofKept + ofAbsorbed;
    }
    for (const { seen } of this.#windows) {
      const [ofA, ofB] = [seen.get(a) ?? [], seen.get(b) ?? []];
      seen.set(kept, isByHand && ofA.length ? ofA : mergeSorted(ofA, ofB));
      seen.delete(absorbed);
    }
    const strangers = this.#strangers.get(absorbed);
    if (strangers) for (const stranger of strangers) push(this.#strangers, kept, stranger);
    return MERGED;
  }

  #areStrangers(a: number, b: number): boolean {
    const [ofA, ofB] = [this.#strangers.get(a) ?? [], this.#strangers.get(b) ?? []];
    const [fewer, other] = ofA.length <= ofB.length ? [ofA, b] : [ofB, a];
    return fewer.some((stranger) => this.find(stranger) === other);
  }
}

function seenOfKind(kindOf: Uint16Array, firstSeen: Float64Array, kind: number): Map<number, number[]> {
  const seen = new Map<number, number[]>();
  for (let identifier = 0; identifier < kindOf.length; identifier++) {
    if (kindOf[identifier] === kind && !Number.isNaN(firstSeen[identifier]!))
      seen.set(identifier, [firstSeen[identifier]!]);
  }
  return seen;
}

function mergeSorted(a: number[], b: number[]): number[] {
  return a.length && b.length ? [...a, ...b].sort((x, y) => x - y) : a.length ? a : b;
}

function push(lists: Map<number, number[]>, key: number, value: number): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
