import { sortByKey } from "./counting-sort.ts";
import { Int32List } from "./int32-list.ts";
import type { IdentifierRule } from "../domain/project.ts";

/** What decides who is shared: records with ascending identifiers, strongest first, and who is blocked. */
export interface LinkedRecords {
  /** One rule per kind, strongest first. */
  rules: readonly Pick<IdentifierRule, "limit" | "sharedAbove">[];
  kindOf: Uint16Array;
  offsets: Int32Array;
  identifiers: Int32Array;
  /** 1 for an identifier that points at nobody. */
  blocked: Uint8Array;
}

/**
 * Finds identifiers that many people use: those linked to more than `sharedAbove` distinct identifiers of the strongest
 * kind they are linked to, their own kind being the weakest that counts. Weaker identifiers never make one shared, since
 * one e-mail seen on thirty devices is a person with thirty devices; their own limit bounds them.
 * Kinds are judged strongest first, without the stronger shared ones, so that no answer depends on itself.
 * @returns 1 for each identifier that is shared
 */
export function findShared(input: LinkedRecords): Uint8Array {
  const shared = new Uint8Array(input.kindOf.length);
  for (const [kind, rule] of input.rules.entries()) {
    if (rule.sharedAbove === null) continue;
    // Marked only when the whole kind is judged, so that no two of a kind are judged by different neighbours.
    for (const identifier of sharedOfKind(input, kind, rule.sharedAbove, shared)) shared[identifier] = 1;
  }
  return shared;
}

function sharedOfKind(input: LinkedRecords, kind: number, above: number, shared: Uint8Array): number[] {
  const { kindOf, offsets, identifiers, blocked } = input;
  const members = new Int32List();
  const neighbours = new Int32List();
  for (let record = 0; record + 1 < offsets.length; record++) {
    let strongest = -1;
    for (let at = offsets[record]!; at < offsets[record + 1]!; at++) {
      const identifier = identifiers[at]!;
      if (kindOf[identifier]! > kind) break;
      if (blocked[identifier] || shared[identifier]) continue;
      if (strongest === -1) strongest = identifier;
      else if (kindOf[identifier] === kind) {
        members.push(identifier);
        neighbours.push(strongest);
        if (kindOf[strongest] === kind) {
          members.push(strongest);
          neighbours.push(identifier);
        }
      }
    }
  }
  return countedAbove(members.view(), neighbours.view(), kindOf, above);
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
