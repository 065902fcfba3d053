/** Results that nobody has asked for are kept for so long. */
const KEPT_MS = 600_000;

/**
 * Work that costs as much for many as for one. Whoever asks while it is being done waits for the next round, which is for
 * everybody who needs it by then, so that of a thousand who ask at once nearly all find it done.
 */
export class Together<T> {
  readonly #work: (id: string) => Promise<ReadonlyMap<string, T>>;
  readonly #done = new Map<string, { result: T; startedAt: number }>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param work does it for the one of this id and whoever else needs it now; results by id */
  constructor(work: (id: string) => Promise<ReadonlyMap<string, T>>) {
    this.#work = work;
  }

  /** @param since a result of work that began before this moment, in milliseconds, is too old; 0: one that is kept will do */
  async of(id: string, since: number): Promise<T> {
    const mine = this.#last.then(() => this.#doneOrDo(id, since));
    this.#last = mine.catch(() => undefined);
    return await mine;
  }

  async #doneOrDo(id: string, since: number): Promise<T> {
    const startedAt = Date.now();
    const known = this.#done.get(id);
    this.#done.delete(id);
    if (known && known.startedAt >= Math.max(since, startedAt - KEPT_MS)) return known.result;
    for (const [other, done] of this.#done) if (startedAt - done.startedAt > KEPT_MS) this.#done.delete(other);
    const results = await this.#work(id);
    for (const [other, result] of results) if (other !== id) this.#done.set(other, { result, startedAt });
    return results.get(id) as T;
  }
}
