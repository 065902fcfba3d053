import { randomFillSync } from "node:crypto";
import { ByteList, type ByteSink } from "../../identity/byte-list.ts";
import type { People } from "../../identity/people.ts";

/** `ops.nobody()`: the nil uuid. */
const NOBODY = Buffer.alloc(16);

/** The ids of people by their places; -1 stands for nobody. */
export class PersonIds {
  readonly #ids = new ByteList();

  /** @param former ids of former people: who is one of them keeps the id, everybody else gets a random uuid (version 4) */
  constructor(people: People, former: ByteList) {
    const random = randomFillSync(Buffer.allocUnsafe(16 * people.former.length));
    for (const [place, known] of people.former.entries()) {
      const at = 16 * place;
      random[at + 6] = (random[at + 6]! & 0x0f) | 0x40;
      random[at + 8] = (random[at + 8]! & 0x3f) | 0x80;
      if (known === -1) this.#ids.append(random, at, at + 16);
      else this.#ids.append(former.bytes(known), 0, 16);
    }
  }

  writeTo(sink: ByteSink, place: number): void {
    if (place === -1) sink.slice(NOBODY, 0, NOBODY.length);
    else this.#ids.writeTo(sink, place);
  }

  /** The position of each place in the order of the ids. */
  ranks(): Int32Array {
    const ranks = new Int32Array(this.#ids.size);
    for (const [rank, place] of this.#ids.sorted(0).entries()) ranks[place] = rank;
    return ranks;
  }
}
