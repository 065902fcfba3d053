import { ascending, sortByKey } from "./counting-sort.ts";
import { DisjointSets } from "./disjoint-sets.ts";
import { Int32List } from "./int32-list.ts";
import { findShared, type LinkedRecords } from "./shared.ts";

/** Links between identifiers in canonical order; entry i says that `record[i]` ties `weaker[i]` to `stronger[i]`. */
export interface Links {
  stronger: Int32Array;
  weaker: Int32Array;
  /** The smallest record that carries both. */
  record: Int32Array;
}

/** A refused link, with the number of the strongest kind of which one person would have held too many. */
interface Refusals extends Links {
  limitKind: Int32Array;
}

export interface Partition {
  /** 1 for an identifier that too many people use to tell them apart. */
  shared: Uint8Array;
  /** The smallest identifier of each identifier's person; -1 for shared and blocked ones. */
  person: Int32Array;
  /** The smallest identifier connected to each by any links, refused ones included; -1 for shared and blocked ones. */
  island: Int32Array;
  /** The identifier that decides whose each record is: its strongest that is neither shared nor blocked; -1 if none. */
  owner: Int32Array;
  /** The links that made two people one: a spanning forest of the people. */
  merges: Links;
  refusals: Refusals;
}

/**
 * Divides identifiers into people. Each record links its identifiers to its strongest; the distinct links are taken in
 * canonical order, by the kinds of both ends and then by their numbers, and a link that would make one person hold more
 * than a kind's limit is refused. The result is a function of the set of records: a link refused once stays refused,
 * since people only grow.
 */
export function partition(input: LinkedRecords): Partition {
  const shared = findShared(input);
  const { links, owner } = collectLinks(input, shared);
  const islands = new DisjointSets(input.kindOf.length);
  const people = new LimitedSets(input);
  const merged = new Int32List();
  const refused = new Int32List();
  const limitKinds = new Int32List();
  for (let i = 0; i < links.record.length; i++) {
    const stronger = links.stronger[i]!;
    const weaker = links.weaker[i]!;
    const [a, b] = [islands.find(stronger), islands.find(weaker)];
    if (a !== b) islands.unite(a, b);
    const outcome = people.merge(stronger, weaker);
    if (outcome === MERGED) merged.push(i);
    else if (outcome !== ALREADY_ONE) {
      refused.push(i);
      limitKinds.push(outcome);
    }
  }
  const hide = (names: Int32Array) => names.map((name, i) => (shared[i] || input.blocked[i] ? -1 : name));
  return {
    shared,
    person: hide(people.smallestMembers()),
    island: hide(islands.smallestMembers()),
    owner,
    merges: pick(links, merged.view()),
    refusals: { ...pick(links, refused.view()), limitKind: limitKinds.view() },
  };
}

/** Each record's identifiers tied to its strongest, the distinct ties in canonical order. */
function collectLinks(input: LinkedRecords, shared: Uint8Array): { links: Links; owner: Int32Array } {
  const { kindOf, offsets, identifiers, blocked, rules } = input;
  const owner = new Int32Array(offsets.length - 1).fill(-1);
  const stronger = new Int32List();
  const weaker = new Int32List();
  const record = new Int32List();
  for (let r = 0; r < owner.length; r++) {
    for (let at = offsets[r]!; at < offsets[r + 1]!; at++) {
      const identifier = identifiers[at]!;
      if (blocked[identifier] || shared[identifier]) continue;
      if (owner[r] === -1) owner[r] = identifier;
      else {
        stronger.push(owner[r]!);
        weaker.push(identifier);
        record.push(r);
      }
    }
  }
  const links = { stronger: stronger.view(), weaker: weaker.view(), record: record.view() };
  const kindPairs = links.record.map((_, i) => kindOf[links.stronger[i]!]! * rules.length + kindOf[links.weaker[i]!]!);
  // Stable, and records come in ascending order, so that the first of equal links has the smallest record.
  let order = ascending(links.record.length);
  order = sortByKey(order, links.weaker, kindOf.length);
  order = sortByKey(order, links.stronger, kindOf.length);
  order = sortByKey(order, kindPairs, rules.length ** 2);
  const isFirst = (i: number, n: number) =>
    n === 0 || links.stronger[i] !== links.stronger[order[n - 1]!] || links.weaker[i] !== links.weaker[order[n - 1]!];
  return { links: pick(links, order.filter(isFirst)), owner };
}

function pick(links: Links, positions: Int32Array): Links {
  return {
    stronger: positions.map((i) => links.stronger[i]!),
    weaker: positions.map((i) => links.weaker[i]!),
    record: positions.map((i) => links.record[i]!),
  };
}

const MERGED = -1;
const ALREADY_ONE = -2;

/** Sets that count how many identifiers of each limited kind they hold, and refuse a union beyond a limit. */
class LimitedSets extends DisjointSets {
  readonly #kinds: number[] = [];
  readonly #limits: number[] = [];
  /** For each representative, how many identifiers of each limited kind its set holds. */
  readonly #held: Int32Array;

  constructor({ rules, kindOf }: LinkedRecords) {
    super(kindOf.length);
    const column = new Int32Array(rules.length).fill(-1);
    for (const [kind, rule] of rules.entries()) {
      if (rule.limit === null) continue;
      column[kind] = this.#kinds.push(kind) - 1;
      this.#limits.push(rule.limit);
    }
    this.#held = new Int32Array(kindOf.length * this.#kinds.length);
    for (let identifier = 0; identifier < kindOf.length; identifier++) {
      const at = column[kindOf[identifier]!]!;
      if (at !== -1) this.#held[identifier * this.#kinds.length + at] = 1;
    }
  }

  /** Makes the people of two identifiers one; returns MERGED, ALREADY_ONE, or the kind whose limit forbids it. */
  merge(identifier: number, other: number): number {
    const [a, b] = [this.find(identifier), this.find(other)];
    if (a === b) return ALREADY_ONE;
    const width = this.#kinds.length;
    for (let i = 0; i < width; i++) {
      const [ofA, ofB] = [this.#held[a * width + i]!, this.#held[b * width + i]!];
      if (ofA + ofB > this.#limits[i]!) return this.#kinds[i]!;
    }
    const kept = this.unite(a, b);
    const absorbed = kept === a ? b : a;
    for (let i = 0; i < width; i++) this.#held[kept * width + i]! += this.#held[absorbed * width + i]!;
    return MERGED;
  }
}
