import { ByteList } from "./byte-list.ts";

/** A list of distinct byte strings, found by an open-addressing table. */
export class ByteDictionary extends ByteList {
  /** Pairs of an entry's number plus one (0: free) and its hash, so that a look-up touches one line of memory. Half full at most. */
  #slots = new Int32Array(1 << 11);
  /** How many entries the table holds; those after came once, and are put in when others may be the same. */
  #indexed = 0;

  /** The number of the bytes from `start` to `end`, given now if they are new. */
  add(source: Uint8Array, start: number, end: number): number {
    if (this.#indexed < this.size) this.index();
    const hash = hashOf(source, start, end);
    const slot = this.#slotOf(hash, source, start, end);
    const found = this.#slots[slot]!;
    if (found !== 0) return found - 1;
    const entry = this.append(source, start, end);
    this.#put(slot, hash, entry);
    return entry;
  }

  /**
   * The same for bytes that come no second time until `index` is called: what never comes a second time needs no place in
   * the table, which for a million entries costs half of all.
   */
  addOnce(source: Uint8Array, start: number, end: number): number {
    const known = this.#indexed === 0 ? -1 : this.find(source, start, end);
    return known === -1 ? this.append(source, start, end) : known;
  }

  /** Makes what `addOnce` has added be found. */
  index(): void {
    for (let entry = this.#indexed; entry < this.size; entry++) {
      const [start, end] = [this.startOf(entry), this.endOf(entry)];
      const hash = hashOf(this.source, start, end);
      this.#put(this.#slotOf(hash, this.source, start, end), hash, entry);
    }
  }

  #put(slot: number, hash: number, entry: number): void {
    this.#slots[slot] = entry + 1;
    this.#slots[slot + 1] = hash;
    this.#indexed++;
    if (this.#indexed * 4 > this.#slots.length) this.#widen();
  }

  /** The number of the bytes from `start` to `end`, or -1; for what `addOnce` has added, once `index` was called. */
  find(source: Uint8Array, start: number, end: number): number {
    return this.#slots[this.#slotOf(hashOf(source, start, end), source, start, end)]! - 1;
  }

  #slotOf(hash: number, source: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 2;
    for (let slot = hash & mask; ; slot = (slot + 2) & mask) {
      const entry = slots[slot]! - 1;
      if (entry === -1 || (slots[slot + 1] === hash && this.equals(entry, source, start, end))) return slot;
    }
  }

  #widen(): void {
    const former = this.#slots;
    const slots = new Int32Array(former.length * 2);
    const mask = slots.length - 2;
    for (let i = 0; i < former.length; i += 2) {
      if (former[i] === 0) continue;
      let slot = former[i + 1]! & mask;
      while (slots[slot] !== 0) slot = (slot + 2) & mask;
      slots[slot] = former[i]!;
      slots[slot + 1] = former[i + 1]!;
    }
    this.#slots = slots;
  }
}

/** How many bytes at the end are hashed: 48 bits of a token's hexadecimal digits, 96 of a record's key. */
const HASHED_BYTES = 12;

/** FNV-1a with a last mix, since the table takes the low bits. What is hashed are keyed HMACs, which nobody can aim. */
function hashOf(source: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = Math.max(start, end - HASHED_BYTES); i < end; i++) hash = Math.imul(hash ^ source[i]!, 0x01000193);
  return (hash ^ (hash >>> 15)) | 0;
}
