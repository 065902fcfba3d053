import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

type Generator = ReturnType<typeof xoroshiro128plus>;

/** Seeded choices. Everything the demo store invents comes from here, so one seed and one date make one store. */
export class Random {
  readonly #seed: number;
  readonly #generator: Generator;

  constructor(seed: number) {
    this.#seed = seed;
    this.#generator = xoroshiro128plus(seed);
  }

  /** An independent sequence of this name: drawing more in one part of the store then leaves the other parts as they were. */
  fork(name: string): Random {
    let hash = 0x811c9dc5 ^ this.#seed;
    for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
    return new Random(hash | 0);
  }

  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return uniformInt(this.#generator, min, max);
  }

  /** A number in [min, max). */
  between(min: number, max: number): number {
    return min + uniformFloat64(this.#generator) * (max - min);
  }

  chance(probability: number): boolean {
    return uniformFloat64(this.#generator) < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.int(0, choices.length - 1)];
    if (choice === undefined) throw new RangeError("nothing to pick from");
    return choice;
  }

  /** One of the choices, each as likely as its weight. */
  weighted<T>(choices: readonly (readonly [T, number])[]): T {
    let rest = this.between(
      0,
      choices.reduce((sum, [, weight]) => sum + weight, 0),
    );
    for (const [choice, weight] of choices) if ((rest -= weight) < 0) return choice;
    throw new RangeError("nothing to weigh");
  }

  /** Normally distributed (Box-Muller), mean 0 and deviation 1. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.between(0, 1))) * Math.cos(2 * Math.PI * this.between(0, 1));
  }

  /** The choices in another order (Fisher-Yates); the argument stays as it is. */
  shuffled<T>(choices: readonly T[]): T[] {
    const result = [...choices];
    for (let at = result.length - 1; at > 0; at--) {
      const other = this.int(0, at);
      [result[at], result[other]] = [result[other] as T, result[at] as T];
    }
    return result;
  }

  hex(length: number): string {
    let text = "";
    while (text.length < length) text += this.int(0, 0xffff).toString(16).padStart(4, "0");
    return text.slice(0, length);
  }

  /** A uuid of version 4. */
  uuid(): string {
    const hex = this.hex(32);
    const variant = "89ab"[this.int(0, 3)];
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}
