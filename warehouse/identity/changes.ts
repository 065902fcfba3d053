import { partition } from "../../identity/partition.ts";
import { recognisePeople } from "../../identity/people.ts";
import type { CanonicalRecords } from "../../identity/records.ts";
import { findShared, UNKNOWN } from "../../identity/shared.ts";
import type { ChangeContext } from "../models/relation.ts";
import { readContracts, type ContractColumns } from "./contracts.ts";
import { addFamiliar } from "./familiar.ts";
import { readBlocked, readDecisions, readFormerPeople, readRecords } from "./read.ts";
import { addOwnersOfChanges } from "./references.ts";
import { HIDDEN, PEOPLE } from "./tables.ts";
import { Touched } from "./touched.ts";
import { createTables, writeTables } from "./write.ts";

/**
 * Resolves the islands that changed records touch, and nothing else: the result is what a full computation would say of
 * them. An island is everybody whom accepted or refused links connect; published people and conflicts tell it. An
 * identifier that becomes shared or blocked, or ceases to be, touches the islands of all who are on a record with it.
 *
 * Creates `output(…)` for each table with the rows of those islands as they are now, and `touched(…)` with the keys of
 * all published rows that may be others now: a published row whose key is touched and not among the output goes.
 * @returns false where so much is touched that a full computation is cheaper
 */
export async function resolveChanges(context: ChangeContext): Promise<boolean> {
  if (!context.published(PEOPLE.name) || !context.published(HIDDEN.name)) return false;
  const contracts = await readContracts(context);
  const touched = new Touched(context, contracts);
  if (!(await touched.begin())) await createTables(context);
  else if (!(await resolveIslands(context, contracts, touched))) return false;
  await addOwnersOfChanges(context, contracts, touched);
  await touched.finish();
  await addFamiliar(context);
  return true;
}

/** Creates and fills the outputs with what the islands are now that changed records touch; false where that is too much. */
async function resolveIslands(
  context: ChangeContext,
  contracts: readonly ContractColumns[],
  touched: Touched,
): Promise<boolean> {
  const { rules } = context;
  const changed = await readRecords(context, contracts, touched.records);
  await touched.addIdentifiers(tokensOf(changed, () => true));
  for (;;) {
    if (!(await touched.spread())) return false;
    const records = await readRecords(context, contracts, touched.loaded);
    const blocked = await readBlocked(context, records);
    const before = await touched.readStates(records);
    const known = Int8Array.from(before, (state) => (state.isJudged ? UNKNOWN : Number(state.isShared)));
    const shared = findShared({ ...records, rules: rules.identifiers, blocked }, known);
    // Who is on a record with an identifier that is hidden now and was not, or the other way round, is touched too.
    const flips = (i: number) => before[i]!.isPublished && before[i]!.isHidden !== Boolean(shared[i]! || blocked[i]!);
    if (await touched.addIdentifiers(tokensOf(records, flips))) continue;
    const isAll = await touched.settle(records, before);

    const within = isAll ? records : await readRecords(context, contracts, touched.records);
    const isBlocked = isAll ? blocked : await readBlocked(context, within);
    const decisions = await readDecisions(context, within);
    const isShared = Uint8Array.from(within.kindOf, (_, i) => shared[records.find(within.token(i))]!);
    const result = partition({ ...within, ...decisions, rules: rules.identifiers, blocked: isBlocked }, isShared);
    const former = await readFormerPeople(context, within, result.person, touched.people);
    const people = recognisePeople(result.person, former);
    await writeTables(context, {
      rules,
      records: within,
      blocked: isBlocked,
      result,
      people,
      former,
      isPart: true,
    });
    return true;
  }
}

/** The tokens of all identifiers on records that carry one of those chosen. */
function tokensOf(
  { offsets, identifiers, token }: CanonicalRecords,
  isChosen: (identifier: number) => boolean,
): string[] {
  const tokens = new Set<number>();
  for (let record = 0; record + 1 < offsets.length; record++) {
    const carried = identifiers.subarray(offsets[record], offsets[record + 1]);
    if (carried.some(isChosen)) for (const identifier of carried) tokens.add(identifier);
  }
  return Array.from(tokens, (identifier) => token(identifier).toString("latin1"));
}
