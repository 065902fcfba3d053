import { partition } from "../identity/partition.ts";
import { recognisePeople } from "../identity/people.ts";
import { resolveChanges } from "./identity/changes.ts";
import { CONTRACTS, readContracts } from "./identity/contracts.ts";
import { readBlocked, readDecisions, readFormerPeople, readRecords } from "./identity/read.ts";
import { addOwnersByReference } from "./identity/references.ts";
import { IDENTIFIERS, MERGED_PEOPLE, PEOPLE, TABLES } from "./identity/tables.ts";
import { writeTables } from "./identity/write.ts";
import type { ModelNode } from "./models/relation.ts";

/** Identity resolution as a node of the model graph: reads the contracts, writes who is who and why. */
export const identityNode: ModelNode = {
  name: "identity",
  inputs: [...Object.keys(CONTRACTS), "ops.blocked_identifiers", "ops.identity_decisions"],
  outputs: TABLES,
  remembers: [PEOPLE.name, MERGED_PEOPLE.name, IDENTIFIERS.name],
  version: "4",
  async compute(context) {
    const { rules } = context;
    const contracts = await readContracts(context);
    const records = await readRecords(context, contracts);
    const blocked = await readBlocked(context, records);
    const decisions = await readDecisions(context, records);
    const result = partition({ ...records, ...decisions, rules: rules.identifiers, blocked });
    const former = await readFormerPeople(context, records, result.person);
    const people = recognisePeople(result.person, former);
    const resolution = { rules, records, blocked, result, people, former, isPart: false };
    return await writeTables(context, resolution, (client) => addOwnersByReference({ ...context, client }, contracts));
  },
  computeChanges: resolveChanges,
};
