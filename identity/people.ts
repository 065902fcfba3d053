/** People as the last publish left them. */
export interface FormerPeople {
  /** The identifier each is kept with; -1 if no record carries it any more. Living ones first, each part oldest first. */
  anchors: Int32Array;
  /** The order in which they were first seen. */
  sequences: Float64Array;
  /** How many of them lived; the others had been merged into somebody, and come back when their anchor is parted from it. */
  living: number;
  /** The greatest sequence ever given. */
  lastSequence: number;
  /**
   * What else living people without a living anchor held: entry i says that former person `holder[i]` held `identifier[i]`.
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
  /** Former people who are part of somebody else now; `anchor` is the identifier by which they would come back. */
  absorbed: { former: number; anchor: number; place: number }[];
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
 * with the strongest of its other identifiers, unless that part is somebody already. Who had been merged and is parted
 * again gets the former id back. Everyone else is new, is anchored at the strongest identifier and comes after all who
 * were ever seen.
 * @param person the smallest identifier of each identifier's person, or -1
 */
export function recognisePeople(person: Int32Array, published: FormerPeople): People {
  const { anchors, living } = published;
  const formerOf = new Int32Array(person.length).fill(-1);
  const anchorOf = person.slice();
  const nameOf = (identifier: number) => person[identifier] ?? -1;
  const claim = (former: number, identifier: number) => {
    const name = nameOf(identifier);
    if (name === -1 || formerOf[name] !== -1) return false;
    formerOf[name] = former;
    anchorOf[name] = identifier;
    return true;
  };
  const absorbed: { former: number; anchor: number }[] = [];
  const claimByAnchor = (former: number) => {
    const anchor = anchors[former]!;
    if (!claim(former, anchor) && nameOf(anchor) !== -1) absorbed.push({ former, anchor });
  };
  for (let former = 0; former < living; former++) claimByAnchor(former);
  const { holder, identifier } = published.belongings;
  const inheriting = Array.from(holder.keys()).sort(
    (a, b) => holder[a]! - holder[b]! || identifier[a]! - identifier[b]!,
  );
  let settled = -1;
  for (const [n, i] of inheriting.entries()) {
    const former = holder[i]!;
    if (former === settled) continue;
    const isLast = holder[inheriting[n + 1] ?? -1] !== former;
    if (claim(former, identifier[i]!)) settled = former;
    else if (isLast) {
      const strongest = inheriting.find((at) => holder[at] === former && nameOf(identifier[at]!) !== -1);
      if (strongest !== undefined) absorbed.push({ former, anchor: identifier[strongest]! });
    }
  }
  for (let former = living; former < anchors.length; former++) claimByAnchor(former);

  const names = person.filter((name, i) => name === i);
  const place = new Int32Array(person.length);
  let { lastSequence } = published;
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
    absorbed: absorbed.map(({ former, anchor }) => ({ former, anchor, place: place[person[anchor]!]! })),
  };
}
