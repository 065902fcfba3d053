import type { ModelNode, RelationSpec } from "../models/relation.ts";

/** Of choice `objection`, `opt_out`, `limit` and `restriction`; what was said of all purposes is `*`. */
export const USE_LIMITS: RelationSpec = {
  name: "core.use_limits",
  grain: "One row per person, kind of choice and purpose of which the person has said something.",
  materialize: "table",
  key: ["customer_id", "choice", "purpose"],
  follows: [],
  notNull: ["is_limited"],
  foreignKeys: [{ columns: ["customer_id"], references: "core.people" }],
  columns: {
    customer_id: "The person",
    choice: "objection, opt_out, limit (of sensitive data) or restriction",
    purpose: "The purpose; * for all that have no row of their own",
    is_limited: "Whether the latest word forbids it",
  },
};

export const RESTRICTED_PEOPLE: RelationSpec = {
  name: "core.restricted_people",
  grain: "One row per person whose data are stored and not used: the mart does not show them.",
  materialize: "table",
  key: ["customer_id"],
  follows: [],
  notNull: [],
  foreignKeys: [{ columns: ["customer_id"], references: "core.people" }],
  columns: { customer_id: "The person" },
};

/** By which models leave out what they would otherwise show: a fact of such a record is nobody's. */
export const RESTRICTED_RECORDS: RelationSpec = {
  name: "core.restricted_records",
  grain: "One row per record of a person whose data are stored and not used.",
  materialize: "table",
  key: ["record_key"],
  follows: [],
  notNull: [],
  foreignKeys: [],
  columns: { record_key: "The record" },
};

/**
 * What people have forbidden, by person: of all their identifiers the latest word about a purpose, or about all, counts;
 * of two of the same moment the one that forbids. It follows merges and splits.
 */
export const useLimitsNode: ModelNode = {
  name: "use_limits",
  inputs: ["ops.use_limits", "core.identifiers", "core.record_owners"],
  outputs: [USE_LIMITS, RESTRICTED_PEOPLE, RESTRICTED_RECORDS],
  version: "1",
  async compute({ client, input, output }) {
    const limits = await client.query(
      `create table ${output(USE_LIMITS.name)} as
       with said as materialized (
         select identifiers.customer_id, limits.choice, limits.purpose, limits.said_at, limits.holds
         from ${input("ops.use_limits")} as limits
         join ${input("core.identifiers")} as identifiers on identifiers.token = limits.token
         where identifiers.customer_id <> ops.nobody() and not identifiers.is_shared and not identifiers.is_blocked
       )
       select distinct on (asked.customer_id, asked.choice, asked.purpose)
         asked.customer_id, asked.choice, asked.purpose, said.holds as is_limited
       from said as asked
       join said on said.customer_id = asked.customer_id and said.choice = asked.choice and said.purpose in (asked.purpose, '*')
       order by asked.customer_id, asked.choice, asked.purpose, said.said_at desc, said.holds desc`,
    );
    const restricted = await client.query(
      `create table ${output(RESTRICTED_PEOPLE.name)} as
       select customer_id from ${output(USE_LIMITS.name)} where choice = 'restriction' and purpose = '*' and is_limited`,
    );
    // Mostly there are none, and then the owners of all records need not be read.
    const some = (restricted.rowCount ?? 0) > 0 ? "" : "limit 0";
    const records = await client.query(
      `create table ${output(RESTRICTED_RECORDS.name)} as
       select owners.record_key from ${input("core.record_owners")} as owners
       join ${output(RESTRICTED_PEOPLE.name)} as restricted on restricted.customer_id = owners.customer_id ${some}`,
    );
    return {
      [USE_LIMITS.name]: limits.rowCount ?? 0,
      [RESTRICTED_PEOPLE.name]: restricted.rowCount ?? 0,
      [RESTRICTED_RECORDS.name]: records.rowCount ?? 0,
    };
  },
};

/**
 * An SQL condition: a customer may be in a set that is used for a purpose.
 * @param limits where to read `core.use_limits`
 * @param customer the column of the customer's id
 * @param purpose null: for analysis alone, which only an objection to every use keeps off
 * @param isSensitive whether the set is told by data of special categories
 */
export function isUsable(limits: string, customer: string, purpose: string | null, isSensitive: boolean): string {
  const named = purpose === null ? "'*'" : `'${purpose}'`;
  const choices = [
    "restriction",
    "objection",
    ...(purpose === null ? [] : ["opt_out"]),
    ...(isSensitive ? ["limit"] : []),
  ];
  return `not exists (
    select from (
      select distinct on (limits.choice) limits.is_limited from ${limits} as limits
      where limits.customer_id = ${customer} and limits.choice in (${choices.map((choice) => `'${choice}'`).join(", ")})
        and limits.purpose in (${named}, '*')
      order by limits.choice, limits.purpose = '*'
    ) as said where said.is_limited)`;
}
