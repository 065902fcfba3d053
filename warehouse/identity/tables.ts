import type { RelationSpec } from "../models/relation.ts";

/** A table that identity resolution writes; `types` holds the SQL type of every column, in order. */
export interface IdentityTable extends RelationSpec {
  types: Record<string, string>;
}

const TO_PEOPLE = { columns: ["customer_id"], references: "core.people" };

export const PEOPLE: IdentityTable = table({
  name: "core.people",
  grain: "One row per person, and one that stands for everybody who is not known.",
  key: ["customer_id"],
  notNull: ["is_anonymous", "person_seq"],
  foreignKeys: [],
  types: { customer_id: "uuid", anchor_token: "text", is_anonymous: "boolean", person_seq: "bigint" },
  columns: {
    customer_id: "The person: a random id that stays; the older one after a merge; ops.nobody() for the unknown",
    anchor_token: "The identifier the id is kept with: whoever holds it is this person; null for the unknown",
    is_anonymous: "Whether nothing but devices is known of the person",
    person_seq: "The order in which people were first seen: the smaller is the older; 0 for the unknown",
  },
});

export const MERGED_PEOPLE: IdentityTable = table({
  name: "core.merged_people",
  grain: "One row per id that was a person's until it was merged into an older one.",
  key: ["former_customer_id"],
  notNull: ["customer_id", "anchor_token", "person_seq"],
  foreignKeys: [TO_PEOPLE],
  types: { former_customer_id: "uuid", customer_id: "uuid", anchor_token: "text", person_seq: "bigint" },
  columns: {
    former_customer_id: "The id that is no more; it comes back when its identifier is parted from the person",
    customer_id: "The person that it is part of now",
    anchor_token: "The identifier the former id is kept with",
    person_seq: "The order in which people were first seen",
  },
});

export const IDENTIFIERS: IdentityTable = table({
  name: "core.identifiers",
  grain: "One row per identifier that a record carries.",
  key: ["token"],
  notNull: ["kind", "customer_id", "is_shared", "is_blocked"],
  foreignKeys: [TO_PEOPLE],
  types: {
    token: "text",
    kind: "text",
    customer_id: "uuid",
    is_shared: "boolean",
    is_blocked: "boolean",
    linked_token: "text",
    linked_record_key: "uuid",
  },
  columns: {
    token: "The identifier's token",
    kind: "What it identifies by: email, phone, customer_id and so on",
    customer_id: "Whose identifier it is; ops.nobody() if it is shared or blocked",
    is_shared: "Whether it is used by more people than its kind allows, so that it links nobody",
    is_blocked: "Whether the project's rules say that it points at nobody",
    linked_token:
      "The identifier of the same person that it is linked to; from link to link one comes to the person's strongest, which has none",
    linked_record_key:
      "The record that carries both; the first by its key if several do; null for a merge by hand, and without a link",
  },
});

export const RECORD_OWNERS: IdentityTable = table({
  name: "core.record_owners",
  grain: "One row per record that belongs to a known person.",
  key: ["record_key"],
  notNull: ["customer_id"],
  foreignKeys: [TO_PEOPLE],
  types: { record_key: "uuid", customer_id: "uuid" },
  columns: {
    record_key: "The record",
    customer_id:
      "The person of its strongest identifier that is neither shared nor blocked; without one, the person of the order it refers to",
  },
});

export const HIDDEN: IdentityTable = table({
  name: "core.hidden_identifiers",
  grain: "One row per shared or blocked identifier on a record: what a change of its state would bring back.",
  key: ["record_key", "token"],
  notNull: [],
  foreignKeys: [{ columns: ["token"], references: "core.identifiers" }],
  types: { record_key: "uuid", token: "text" },
  columns: { record_key: "The record", token: "The token of an identifier that it carries" },
});

export const CONFLICTS: IdentityTable = table({
  name: "core.identity_conflicts",
  grain: "One row per link that was refused, since one person would have broken a rule.",
  key: ["stronger_token", "weaker_token"],
  notNull: ["reason", "customer_id", "other_customer_id"],
  foreignKeys: [TO_PEOPLE, { columns: ["other_customer_id"], references: "core.people" }],
  types: {
    stronger_token: "text",
    weaker_token: "text",
    record_key: "uuid",
    reason: "text",
    limit_kind: "text",
    person_limit: "integer",
    customer_id: "uuid",
    other_customer_id: "uuid",
  },
  columns: {
    stronger_token: "The strongest identifier of the record",
    weaker_token: "The identifier that the record would tie to it",
    record_key: "The record that carries both; the first by its key if several do; null for a merge by hand",
    reason:
      "limit: more identifiers of a kind than a person may have; window: more of them first seen within its days; split: parted by hand",
    limit_kind: "The kind of which one person would have held too many: the strongest if there are several",
    person_limit: "How many identifiers of that kind a person may have",
    customer_id: "The person of the stronger identifier",
    other_customer_id: "The person of the weaker identifier",
  },
});

export const TABLES = [PEOPLE, MERGED_PEOPLE, IDENTIFIERS, RECORD_OWNERS, HIDDEN, CONFLICTS];

function table(spec: Omit<IdentityTable, "materialize" | "follows">): IdentityTable {
  return { ...spec, materialize: "table", follows: [] };
}
