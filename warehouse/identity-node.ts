import { randomFillSync } from "node:crypto";
import { partition } from "../identity/partition.ts";
import { recognisePeople, type People } from "../identity/people.ts";
import { INPUTS, readBlocked, readFormerPeople, readRecords } from "./identity/read.ts";
import { CONFLICTS, IDENTIFIERS, MERGES, PEOPLE, RECORD_OWNERS } from "./identity/tables.ts";
import { writeTables } from "./identity/write.ts";
import type { ModelNode } from "./models/relation.ts";

/** Identity resolution as a node of the model graph: reads the contracts, writes who is who and why. */
export const identityNode: ModelNode = {
  name: "identity",
  inputs: [...INPUTS, "ops.blocked_identifiers"],
  outputs: [PEOPLE, IDENTIFIERS, RECORD_OWNERS, MERGES, CONFLICTS],
  version: "1",
  async compute(context) {
    const records = await readRecords(context);
    const { rules } = context;
    const blocked = await readBlocked(context, records);
    const result = partition({
      rules: rules.identifiers,
      kindOf: records.kindOf,
      offsets: records.offsets,
      identifiers: records.identifiers,
      blocked,
    });
    const former = await readFormerPeople(context, records, result.person);
    const people = recognisePeople(result.person, former);
    return await writeTables(context, { rules, records, blocked, result, people, ids: idsOf(people, former.ids) });
  },
};

/** The id of each person: the one it had, or a new random uuid (version 4). */
function idsOf(people: People, formerIds: Buffer[]): Buffer[] {
  const random = randomFillSync(Buffer.allocUnsafe(16 * people.former.length));
  return Array.from(people.former, (former, i) => {
    if (former !== -1) return formerIds[former]!;
    const id = random.subarray(i * 16, i * 16 + 16);
    id[6] = (id[6]! & 0x0f) | 0x40;
    id[8] = (id[8]! & 0x3f) | 0x80;
    return id;
  });
}
