import { open, seal } from "./sealing.ts";

/**
 * Wraps the keys that seal data. Keys for wrapping come in generations: destroying one makes everything unreadable that
 * only it has wrapped, in every copy of the warehouse.
 */
export interface KeyEncryption {
  wrap(key: Buffer, generation: number, purpose: string): Buffer;
  unwrap(wrapped: Buffer, generation: number, purpose: string): Buffer;
  /** Makes the generation usable in this process. @throws UserError where its key is missing or badly kept */
  openGeneration(generation: number): Promise<void>;
  /** Makes a generation; does nothing where it is there already. */
  createGeneration(generation: number): Promise<void>;
  /** For good; does nothing where it is gone already. */
  destroyGeneration(generation: number): Promise<void>;
}

/** Where the keys of generations are kept: files, the environment, a key management service. */
export interface KeyKeeper {
  /** For people: `files in /srv/miette/keys`. */
  readonly place: string;
  /** @returns 32 bytes. @throws UserError in one sentence without a byte of the key */
  read(generation: number): Promise<Buffer>;
  create(generation: number): Promise<void>;
  destroy(generation: number): Promise<void>;
}

/** The key encryption over any keeper: the keys of opened generations are held in this process's memory. */
export class KeyRing implements KeyEncryption {
  readonly #keeper: KeyKeeper;
  readonly #keys = new Map<number, Buffer>();
  constructor(keeper: KeyKeeper) {
    this.#keeper = keeper;
  }

  get place(): string {
    return this.#keeper.place;
  }

  async openGeneration(generation: number): Promise<void> {
    if (!this.#keys.has(generation)) this.#keys.set(generation, await this.#keeper.read(generation));
  }

  wrap(key: Buffer, generation: number, purpose: string): Buffer {
    return seal(this.#key(generation), purpose, key);
  }

  unwrap(wrapped: Buffer, generation: number, purpose: string): Buffer {
    return open(this.#key(generation), purpose, wrapped);
  }

  async createGeneration(generation: number): Promise<void> {
    await this.#keeper.create(generation);
    await this.openGeneration(generation);
  }

  async destroyGeneration(generation: number): Promise<void> {
    await this.#keeper.destroy(generation);
    this.#keys.get(generation)?.fill(0);
    this.#keys.delete(generation);
  }

  #key(generation: number): Buffer {
    const key = this.#keys.get(generation);
    if (!key) throw new Error(`key generation ${generation} has not been opened`);
    return key;
  }
}
