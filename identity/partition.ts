import { ascending, sortByKey } from "./counting-sort.ts";
import { Int32List } from "./int32-list.ts";
import { ALREADY_ONE, LimitedSets, MERGED } from "./limited-sets.ts";
import type { LinkedRecords } from "./linked-records.ts";
import { findShared } from "./shared.ts";

/** The record of a link that somebody made by hand. */
export const BY_HAND = -1;

/** Links between identifiers in canonical order; entry i says that `record[i]` ties `weaker[i]` to `stronger[i]`. */
export interface Links {
  stronger: Int32Array;
  weaker: Int32Array;
  /** The smallest record that carries both, or BY_HAND. */
  record: Int32Array;
}

/** A refused link, with why: PARTED, the number of the kind of which one person would have held too many (the strongest if several), or that plus WITHIN_TIME. */
export interface Refusals extends Links {
  reason: Int32Array;
}

export interface Partition {
  /** 1 for an identifier that too many people use to tell them apart. */
  shared: Uint8Array;
  /** The smallest identifier of each identifier's person; -1 for shared and blocked ones. */
  person: Int32Array;
  /** The identifier that decides whose each record is: its strongest that is neither shared nor blocked; -1 if none. */
  owner: Int32Array;
  /** The links that made two people one: a spanning forest of the people. */
  merges: Links;
  refusals: Refusals;
}

/**
 * Divides identifiers into people. Links by hand come first. Then each record links its identifiers to its strongest; the
 * distinct links are taken in canonical order, by the kinds of both ends and then by their numbers, and a link that
 * would break a rule is refused. The result is a function of the set of records: a link refused once stays refused,
 * since people only grow.
 * @param shared 1 for each identifier that is shared, where that is known already
 */
export function partition(input: LinkedRecords, shared: Uint8Array = findShared(input)): Partition {
  const { links, owner } = collectLinks(input, shared);
  const people = new LimitedSets(input);
  const merged = emptyLinks();
  const refused = emptyLinks();
  const reasons = new Int32List();
  const take = (stronger: number, weaker: number, record: number) => {
    const outcome = people.merge(stronger, weaker, record === BY_HAND);
    if (outcome === ALREADY_ONE) return;
    append(outcome === MERGED ? merged : refused, stronger, weaker, record);
    if (outcome !== MERGED) reasons.push(outcome);
  };
  const isHidden = (identifier: number) => shared[identifier] || input.blocked[identifier];
  for (const [stronger, weaker] of input.joined) {
    if (!isHidden(stronger) && !isHidden(weaker)) take(stronger, weaker, BY_HAND);
  }
  for (let i = 0; i < links.record.length; i++) take(links.stronger[i]!, links.weaker[i]!, links.record[i]!);
  const person = people.smallestMembers();
  for (let i = 0; i < person.length; i++) if (isHidden(i)) person[i] = -1;
  return { shared, person, owner, merges: viewOf(merged), refusals: { ...viewOf(refused), reason: reasons.view() } };
}

/** Each record's identifiers tied to its strongest, the distinct ties in canonical order. */
function collectLinks(input: LinkedRecords, shared: Uint8Array): { links: Links; owner: Int32Array } {
  const { kindOf, offsets, identifiers, blocked, rules } = input;
  const owner = new Int32Array(offsets.length - 1).fill(-1);
  const found = emptyLinks();
  for (let r = 0; r < owner.length; r++) {
    for (let at = offsets[r]!; at < offsets[r + 1]!; at++) {
      const identifier = identifiers[at]!;
      if (blocked[identifier] || shared[identifier]) continue;
      if (owner[r] === -1) owner[r] = identifier;
      else append(found, owner[r]!, identifier, r);
    }
  }
  const links = viewOf(found);
  const kindPairs = links.record.map((_, i) => kindOf[links.stronger[i]!]! * rules.length + kindOf[links.weaker[i]!]!);
  let order = ascending(links.record.length);
  order = sortByKey(order, links.weaker, kindOf.length);
  order = sortByKey(order, links.stronger, kindOf.length);
  order = sortByKey(order, kindPairs, rules.length ** 2);
  const distinct = emptyLinks();
  for (const i of order) {
    const last = distinct.record.length - 1;
    if (last >= 0 && distinct.stronger.at(last) === links.stronger[i] && distinct.weaker.at(last) === links.weaker[i]) {
      if (input.compareRecords(links.record[i]!, distinct.record.at(last)) < 0)
        distinct.record.replaceLast(links.record[i]!);
    } else append(distinct, links.stronger[i]!, links.weaker[i]!, links.record[i]!);
  }
  return { links: viewOf(distinct), owner };
}

type GrowingLinks = Record<keyof Links, Int32List>;

function emptyLinks(): GrowingLinks {
  return { stronger: new Int32List(), weaker: new Int32List(), record: new Int32List() };
}

function append(links: GrowingLinks, stronger: number, weaker: number, record: number): void {
  links.stronger.push(stronger);
  links.weaker.push(weaker);
  links.record.push(record);
}

function viewOf({ stronger, weaker, record }: GrowingLinks): Links {
  return { stronger: stronger.view(), weaker: weaker.view(), record: record.view() };
}
