/** A list of 32-bit integers that grows by doubling: 4 bytes a number, where an array of a million numbers costs 8 to 16. */
export class Int32List {
  #values = new Int32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const wider = new Int32Array(this.#values.length * 2);
      wider.set(this.#values);
      this.#values = wider;
    }
    this.#values[this.length++] = value;
  }

  replaceLast(value: number): void {
    this.#values[this.length - 1] = value;
  }

  /** The number at an index below `length`. */
  at(index: number): number {
    return this.#values[index]!;
  }

  /** The numbers so far, without a copy; valid until the next `push`. */
  view(): Int32Array {
    return this.#values.subarray(0, this.length);
  }
}
