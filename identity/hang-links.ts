import type { Links } from "./partition.ts";

/**
 * Hangs the links that made people one, a tree for each person, on the person's smallest identifier: every other one gets
 * the link by which it is nearest to that one, so that each link is one identifier's.
 * @param person the smallest identifier of each identifier's person, or -1
 * @returns for each identifier the number of its link; -1 for the smallest of a person, and for whoever has no person
 */
export function hangLinks({ stronger, weaker }: Pick<Links, "stronger" | "weaker">, person: Int32Array): Int32Array {
  const size = person.length;
  // The links at identifier i stand in `around` from `begins[i]` to `begins[i + 1]`.
  const begins = new Int32Array(size + 1);
  for (const ends of [stronger, weaker]) for (const identifier of ends) begins[identifier + 1]!++;
  for (let i = 0; i < size; i++) begins[i + 1]! += begins[i]!;
  const around = new Int32Array(stronger.length * 2);
  const next = begins.slice();
  for (const ends of [stronger, weaker]) {
    for (let link = 0; link < ends.length; link++) around[next[ends[link]!]!++] = link;
  }
  const linkOf = new Int32Array(size).fill(-1);
  const queue = new Int32Array(size);
  let queued = 0;
  for (let i = 0; i < size; i++) if (person[i] === i) queue[queued++] = i;
  for (let taken = 0; taken < queued; taken++) {
    const identifier = queue[taken]!;
    for (let at = begins[identifier]!; at < begins[identifier + 1]!; at++) {
      const link = around[at]!;
      if (link === linkOf[identifier]) continue;
      const other = otherEnd({ stronger, weaker }, link, identifier);
      linkOf[other] = link;
      queue[queued++] = other;
    }
  }
  return linkOf;
}

/** The identifier at the other end of a link. */
export function otherEnd(
  { stronger, weaker }: Pick<Links, "stronger" | "weaker">,
  link: number,
  identifier: number,
): number {
  return stronger[link] === identifier ? weaker[link]! : stronger[link]!;
}
