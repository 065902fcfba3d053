/** The people of the last publish, oldest first. */
export interface FormerPeople {
  /** The identifier each is kept with; -1 if no record carries it any more. */
  anchors: Int32Array;
  /** The order in which they were first seen, ascending. */
  sequences: Float64Array;
  /**
   * What else people without a living anchor held: entry i says that former person `holder[i]` held `identifier[i]`.
   */
  belongings: { holder: Int32Array; identifier: Int32Array };
}

/** People in canonical order of their smallest identifier. */
export interface People {
  /** For each identifier the place of its person in the lists below; -1 for shared and blocked ones. */
  placeOf: Int32Array;
  anchors: Int32Array;
  sequences: Float64Array;
  /** Which former person each one is; -1 for a new one. */
  former: Int32Array;
}

/** Former people whose anchor points at nobody now: it vanished, is shared, or is blocked. */
export function withoutAnchor(person: Int32Array, anchors: Int32Array): number[] {
  const lost: number[] = [];
  for (const [i, anchor] of anchors.entries()) if (anchor === -1 || person[anchor] === -1) lost.push(i);
  return lost;
}

/**
 * Recognises people across builds. A person is who holds the anchor; where one holds several anchors (a merge) it is the
 * oldest, and where a person came apart the part with the anchor stays. A person whose anchor is gone lives on in the part
 * with the strongest of its other identifiers, unless that part is somebody already. Everyone else is new, is anchored at
 * the strongest identifier and comes after all who were ever seen.
 * @param person the smallest identifier of each identifier's person, or -1
 */
export function recognisePeople(person: Int32Array, published: FormerPeople): People {
  const formerOf = new Int32Array(person.length).fill(-1);
  const anchorOf = person.slice();
  const claim = (former: number, identifier: number) => {
    const name = person[identifier] ?? -1;
    if (name === -1 || formerOf[name] !== -1) return false;
    formerOf[name] = former;
    anchorOf[name] = identifier;
    return true;
  };
  for (const [former, anchor] of published.anchors.entries()) claim(former, anchor);
  const { holder, identifier } = published.belongings;
  const inheriting = Array.from(holder.keys()).sort(
    (a, b) => holder[a]! - holder[b]! || identifier[a]! - identifier[b]!,
  );
  let settled = -1;
  for (const i of inheriting) {
    if (holder[i] !== settled && claim(holder[i]!, identifier[i]!)) settled = holder[i]!;
  }

  const names = person.filter((name, i) => name === i);
  const place = new Int32Array(person.length);
  let lastSequence = published.sequences.at(-1) ?? 0;
  const sequences = new Float64Array(names.length);
  for (const [i, name] of names.entries()) {
    place[name] = i;
    const former = formerOf[name]!;
    sequences[i] = former === -1 ? ++lastSequence : published.sequences[former]!;
  }
  return {
    placeOf: person.map((name) => (name === -1 ? -1 : place[name]!)),
    anchors: names.map((name) => anchorOf[name]!),
    sequences,
    former: names.map((name) => formerOf[name]!),
  };
}
