import type pg from "pg";
import type { RawTable } from "./raw-tables.ts";
import { sweepRaw } from "./sweep-raw.ts";
import { sweepTexts } from "./sweep-texts.ts";

/** A chain of references longer than this is a circle of records that refer to each other. */
export const ROUNDS = 20;

/** What is swept of raw. */
export interface RawSweep {
  tables: readonly RawTable[];
  /** Raw tables whose records stay without their person, with the open columns that they lose. */
  facts: ReadonlyMap<string, readonly string[]>;
  /** What is taken out of the texts of others. */
  tokens: ReadonlySet<string>;
  /** SQL: whether a row `t` with an erased identifier is somebody else's, where identity has not been asked. */
  isAnothers: string;
  /** Called in the transaction of each table once its rows are known, in `found`. */
  beforeTaking?: (client: pg.ClientBase, table: RawTable) => Promise<void>;
}

/** Does a part of the work in a transaction that has `erased_tokens` and `erased_people`. */
export type Within = <T>(work: (client: pg.ClientBase) => Promise<T>) => Promise<T>;

/**
 * Takes people out of the raw tables, those that refer to records of theirs included.
 * @param note told in the transaction of each table what was done to how many rows: `raw.shop__orders strip`
 */
export async function sweepTables(
  { tables, facts, tokens, isAnothers, beforeTaking }: RawSweep,
  within: Within,
  note: (client: pg.ClientBase, counts: Record<string, number>) => Promise<void>,
): Promise<void> {
  for (let round = 1; round <= ROUNDS; round += 1) {
    // Parents' rows tell which children go with them, so it goes round until nothing is found any more.
    let found = 0;
    for (const table of tables) {
      if (round > 1 && table.parents.length === 0) continue;
      found += await within(async (client) => {
        const swept = await sweepRaw(
          client,
          table,
          facts.get(table.relation) ?? null,
          isAnothers,
          async () => await beforeTaking?.(client, table),
        );
        const counts: Record<string, number> = {};
        const add = (key: string, rows: number): void => void (counts[key] = (counts[key] ?? 0) + rows);
        for (const { relation, action, rows } of swept) add(`${relation} ${action}`, rows);
        if (round === 1) {
          for (const [relation, rows] of await sweepTexts(client, table, tokens)) add(`${relation} cut`, rows);
        }
        await note(client, counts);
        return swept.reduce((sum, { relation, rows }) => (relation === table.relation ? sum + rows : sum), 0);
      });
    }
    if (found === 0) break;
  }
}
