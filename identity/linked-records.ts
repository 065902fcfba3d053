import type { IdentifierRule } from "../domain/project.ts";

/** What decides who is who: records with their identifiers, the rules, and what people decided by hand. */
export interface LinkedRecords {
  /** One rule per kind, strongest first. */
  rules: readonly Pick<IdentifierRule, "limit" | "sharedAbove" | "window">[];
  kindOf: Uint16Array;
  /** Identifiers of record r: `identifiers` from `offsets[r]` to `offsets[r + 1]`, ascending and distinct. */
  offsets: Int32Array;
  identifiers: Int32Array;
  /** When each identifier was first seen, in seconds since 1970; NaN where that is not known. */
  firstSeen: Float64Array;
  compareRecords(a: number, b: number): number;
  /** 1 for an identifier that points at nobody. */
  blocked: Uint8Array;
  /** Pairs that somebody decided to be one person's, in canonical order. */
  joined: readonly (readonly [number, number])[];
  /** Pairs that somebody decided to be different people's. */
  parted: readonly (readonly [number, number])[];
}
