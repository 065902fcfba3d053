import { sortByKey } from "./counting-sort.ts";
import { Int32List } from "./int32-list.ts";
import type { LinkedRecords } from "./linked-records.ts";

/** What `findShared` is told of an identifier: it is to be judged, or its state is known. */
export const UNKNOWN = -1;

/**
 * Finds identifiers that many people use: those linked to more than `sharedAbove` distinct identifiers of the strongest
 * kind they are linked to, their own kind being the weakest that counts. Weaker identifiers never make one shared, since
 * one e-mail seen on thirty devices is a person with thirty devices; their own limit bounds them.
 * Kinds are judged strongest first, without the stronger shared ones, so that no answer depends on itself.
 * @param known for each identifier UNKNOWN, or 1 or 0 where its state is known, since not all of its records are given
 * @returns 1 for each identifier that is shared
 */
export function findShared(input: Omit<LinkedRecords, "joined" | "parted">, known?: Int8Array): Uint8Array {
  const shared = Uint8Array.from(input.kindOf, (_, i) => (known?.[i] === 1 ? 1 : 0));
  for (const [kind, rule] of input.rules.entries()) {
    if (rule.sharedAbove === null) continue;
    // Marked only when the whole kind is judged, so that no two of a kind are judged by different neighbours.
    for (const identifier of sharedOfKind(input, kind, rule.sharedAbove, shared)) {
      if (!known || known[identifier] === UNKNOWN) shared[identifier] = 1;
    }
  }
  return shared;
}

function sharedOfKind(
  input: Parameters<typeof findShared>[0],
  kind: number,
  above: number,
  shared: Uint8Array,
): number[] {
  // Most identifiers have too few neighbours even if all of them differ, so only the others' are kept.
  const counts = new Int32Array(input.kindOf.length);
  visitNeighbours(input, kind, shared, (member) => {
    counts[member]!++;
  });
  const members = new Int32List();
  const neighbours = new Int32List();
  visitNeighbours(input, kind, shared, (member, neighbour) => {
    if (counts[member]! <= above) return;
    members.push(member);
    neighbours.push(neighbour);
  });
  return countedAbove(members.view(), neighbours.view(), input.kindOf, above);
}

/** Calls back for each identifier of the kind on each record, with each identifier of its own or a stronger kind that it is linked to. */
function visitNeighbours(
  { kindOf, offsets, identifiers, blocked }: Parameters<typeof findShared>[0],
  kind: number,
  shared: Uint8Array,
  visit: (member: number, neighbour: number) => void,
): void {
  for (let record = 0; record + 1 < offsets.length; record++) {
    let strongest = -1;
    for (let at = offsets[record]!; at < offsets[record + 1]!; at++) {
      const identifier = identifiers[at]!;
      if (kindOf[identifier]! > kind) break;
      if (blocked[identifier] || shared[identifier]) continue;
      if (strongest === -1) strongest = identifier;
      else if (kindOf[identifier] === kind) {
        visit(identifier, strongest);
        if (kindOf[strongest] === kind) visit(strongest, identifier);
      }
    }
  }
}

/** Members with more than `above` distinct neighbours of the strongest kind among them. */
function countedAbove(members: Int32Array, neighbours: Int32Array, kindOf: Uint16Array, above: number): number[] {
  const found: number[] = [];
  let order: Int32Array = members.map((_, i) => i);
  order = sortByKey(sortByKey(order, neighbours, kindOf.length), members, kindOf.length);
  let member = -1;
  let neighbour = -1;
  let strongestKind = -1;
  let count = 0;
  for (const i of order) {
    if (members[i] !== member) {
      member = members[i]!;
      neighbour = -1;
      strongestKind = kindOf[neighbours[i]!]!;
      count = 0;
    }
    if (neighbours[i] === neighbour || kindOf[neighbours[i]!] !== strongestKind) continue;
    neighbour = neighbours[i]!;
    if (++count === above + 1) found.push(member);
  }
  return found;
}
