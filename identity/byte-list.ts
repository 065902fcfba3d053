import { Int32List } from "./int32-list.ts";

/** Where bytes are written: a slice at a time, without an object per slice. */
export interface ByteSink {
  /** Takes the bytes from `start` to `end` now; `source` may change after. */
  slice(source: Uint8Array, start: number, end: number): void;
}

/** Byte strings in one buffer, numbered as they come: a million tokens cost about 45 MB and no garbage. */
export class ByteList {
  #bytes = Buffer.allocUnsafe(1 << 14);
  #used = 0;
  #size = 0;
  /** The length of each entry, as long as all have the same: then nobody has to look up where one lies. Else -1. */
  #width = 0;
  readonly #ends = new Int32List();

  get size(): number {
    return this.#size;
  }

  /** Appends the bytes from `start` to `end`; returns their number. */
  append(source: Uint8Array, start: number, end: number): number {
    const needed = this.#used + end - start;
    if (needed > this.#bytes.length) {
      const wider = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, needed));
      wider.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = wider;
    }
    const bytes = this.#bytes;
    const shift = this.#used - start;
    for (let i = start; i < end; i++) bytes[shift + i] = source[i]!;
    this.#used = needed;
    if (this.#size === 0) this.#width = end - start;
    else if (this.#width !== -1 && end - start !== this.#width) {
      for (let entry = 1; entry <= this.#size; entry++) this.#ends.push(entry * this.#width);
      this.#width = -1;
    }
    if (this.#width === -1) this.#ends.push(needed);
    return this.#size++;
  }

  /** Appends entries of another list in the given order, so that reading them in it walks through memory. */
  appendAll(other: ByteList, order: Int32Array): void {
    for (const entry of order) this.append(other.#bytes, other.startOf(entry), other.endOf(entry));
  }

  /** The bytes of an entry, without a copy. */
  bytes(entry: number): Buffer {
    return this.#bytes.subarray(this.startOf(entry), this.endOf(entry));
  }

  writeTo(sink: ByteSink, entry: number): void {
    sink.slice(this.#bytes, this.startOf(entry), this.endOf(entry));
  }

  /**
   * Entry numbers in ascending order of their bytes. Four bytes and the number are sorted as one 64-bit integer, and only
   * runs of equal beginnings are compared further: a million tokens take 0.3 s, a comparing sort takes 1.5 s.
   * @param prefix how many bytes at the beginning all entries have in common
   */
  sorted(prefix: number): Int32Array {
    const bytes = this.#bytes;
    const packed = new BigUint64Array(this.size);
    const words = new Uint32Array(packed.buffer);
    for (let entry = 0; entry < this.size; entry++) {
      const start = this.startOf(entry) + prefix;
      const end = this.endOf(entry);
      let beginning = 0;
      for (let i = start; i < start + 4; i++) beginning = beginning * 256 + (i < end ? bytes[i]! : 0);
      words[entry * 2 + HIGH_WORD] = beginning;
      words[entry * 2 + 1 - HIGH_WORD] = entry;
    }
    packed.sort();
    const order = new Int32Array(this.size);
    for (let i = 0; i < order.length; i++) order[i] = words[i * 2 + 1 - HIGH_WORD]!;
    for (let from = 0; from < order.length;) {
      let to = from + 1;
      while (to < order.length && words[to * 2 + HIGH_WORD] === words[from * 2 + HIGH_WORD]) to++;
      if (to - from > 1) order.subarray(from, to).sort((a, b) => this.compare(a, b));
      from = to;
    }
    return order;
  }

  /** Whether an entry equals the bytes from `start` to `end`. */
  equals(entry: number, source: Uint8Array, start: number, end: number): boolean {
    const from = this.startOf(entry);
    if (this.endOf(entry) - from !== end - start) return false;
    const bytes = this.#bytes;
    const shift = from - start;
    // From the end, since tokens of one kind begin alike.
    for (let i = end - 1; i >= start; i--) if (source[i] !== bytes[shift + i]) return false;
    return true;
  }

  /** The bytes that all entries lie in. */
  protected get source(): Buffer {
    return this.#bytes;
  }

  protected startOf(entry: number): number {
    if (this.#width !== -1) return entry * this.#width;
    return entry === 0 ? 0 : this.#ends.at(entry - 1);
  }

  protected endOf(entry: number): number {
    return this.#width === -1 ? this.#ends.at(entry) : (entry + 1) * this.#width;
  }

  /** Orders two entries by their bytes. A loop, since Buffer.compare costs more than it saves on so few. */
  compare(a: number, b: number): number {
    const bytes = this.#bytes;
    const endOfA = this.endOf(a);
    const endOfB = this.endOf(b);
    let atA = this.startOf(a);
    let atB = this.startOf(b);
    while (atA < endOfA && atB < endOfB) {
      const difference = bytes[atA++]! - bytes[atB++]!;
      if (difference !== 0) return difference;
    }
    return endOfA - atA - (endOfB - atB);
  }
}

/** Which of a 64-bit integer's two 32-bit words is the more significant one on this machine. */
const HIGH_WORD = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
