import type { Country } from "./names.ts";
import type { Random } from "./random.ts";

/**
 * Number ranges that the regulators of the three countries keep for films and books (Arcep, Ofcom, Bundesnetzagentur),
 * so that no generated number rings anywhere: what follows the country code, and how many digits are free.
 * Ofcom's 07700 900 is left out, since libphonenumber takes it for invalid.
 */
const FICTION: Partial<
  Record<Country, { code: string; mobile: readonly string[]; landline: readonly string[]; free: number }>
> = {
  FR: { code: "33", mobile: ["63998"], landline: ["19900", "26191", "35301", "46571", "53649"], free: 4 },
  GB: { code: "44", mobile: ["2079460", "1214960"], landline: ["1134960", "1314960", "1614960", "1174960"], free: 3 },
  DE: { code: "49", mobile: ["3023125", "6990009"], landline: ["4066969", "2214710", "8999998"], free: 3 },
};

export class PhoneBook {
  readonly #random: Random;
  readonly #taken = new Set<string>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** A number in E.164 that nobody has yet, or null where the country keeps no numbers for fiction (Belgium). */
  next(country: Country, line: "mobile" | "landline"): string | null {
    const range = FICTION[country];
    if (!range) return null;
    for (;;) {
      const digits = String(this.#random.int(0, 10 ** range.free - 1)).padStart(range.free, "0");
      const number = `+${range.code}${this.#random.pick(range[line])}${digits}`;
      if (this.#taken.has(number)) continue;
      this.#taken.add(number);
      return number;
    }
  }
}

/** The number as people type it into a form. Only a French one may lack its country code: the shop is French. */
export function typePhone(number: string, random: Random): string {
  const code = number.slice(0, 3);
  const national = number.slice(3);
  if (code !== "+33")
    return random.pick([number, `${code} ${national}`, `00${code.slice(1)} ${national}`, `${code} (0)${national}`]);
  const pairs = `0${national}`.match(/../g) ?? [];
  return random.pick([
    number,
    pairs.join(" "),
    pairs.join("."),
    pairs.join(""),
    `${code} ${national[0]} ${pairs.slice(1).join(" ")}`,
    ` 00${code.slice(1)}${national}`,
  ]);
}
