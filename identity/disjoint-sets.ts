/** Union-find over the members 0 … size - 1, by size and with path halving. */
export class DisjointSets {
  readonly #parent: Int32Array;
  readonly #size: Int32Array;

  constructor(size: number) {
    this.#parent = new Int32Array(size);
    for (let i = 0; i < size; i++) this.#parent[i] = i;
    this.#size = new Int32Array(size).fill(1);
  }

  /** The representative of the member's set; changes when the set grows. */
  find(member: number): number {
    const parent = this.#parent;
    let at = member;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!;
      at = parent[at]!;
    }
    return at;
  }

  /** Unites two sets given by their representatives; returns the representative of the whole. */
  unite(a: number, b: number): number {
    const [kept, absorbed] = this.#size[a]! >= this.#size[b]! ? [a, b] : [b, a];
    this.#parent[absorbed] = kept;
    this.#size[kept]! += this.#size[absorbed]!;
    return kept;
  }

  /** For each member the smallest member of its set: a name that does not depend on the order of unions. */
  smallestMembers(): Int32Array {
    const smallest = new Int32Array(this.#parent.length);
    const ofRoot = new Int32Array(this.#parent.length).fill(-1);
    for (let member = 0; member < smallest.length; member++) {
      const root = this.find(member);
      if (ofRoot[root] === -1) ofRoot[root] = member;
      smallest[member] = ofRoot[root]!;
    }
    return smallest;
  }
}
