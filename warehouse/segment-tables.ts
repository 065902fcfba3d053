import type { RelationSpec } from "./models/relation.ts";

export const SEGMENTS: RelationSpec = {
  name: "mart.dim_segments",
  grain: "One row per segment: a set of customers, as a file of sql/segments describes it.",
  materialize: "table",
  key: ["segment"],
  follows: [],
  notNull: ["description", "customers"],
  foreignKeys: [],
  columns: {
    segment: "Name of the segment: its file's",
    description: "What it is for",
    consent: "The purpose that its customers must have consented to; null where it is for analysis alone",
    customers: "How many customers are in it now",
    share: "These as a share of all customers, 0 to 1",
  },
};

export const MEMBERSHIPS: RelationSpec = {
  name: "mart.fct_segment_memberships",
  grain: "One row per customer and span of time in a segment.",
  materialize: "table",
  key: ["segment", "customer_id", "valid"],
  follows: [],
  notNull: [],
  foreignKeys: [
    { columns: ["segment"], references: SEGMENTS.name },
    { columns: ["customer_id"], references: "core.people" },
  ],
  columns: {
    segment: "The segment",
    customer_id: "The customer",
    valid: "From the build that first saw the customer in it to the one that did no more; without an end: still in it",
  },
};

/** Kept apart, since who was merged is no customer, and kept, so that a split brings them back. */
export const MERGED_MEMBERSHIPS: RelationSpec = {
  name: "mart.merged_segment_memberships",
  grain: "One row per customer that was merged into another and span of time in a segment, as it was until then.",
  materialize: "table",
  key: ["segment", "former_customer_id", "valid"],
  follows: [],
  notNull: ["customer_id"],
  foreignKeys: [
    { columns: ["segment"], references: SEGMENTS.name },
    { columns: ["customer_id"], references: "core.people" },
  ],
  columns: {
    segment: "The segment",
    former_customer_id: "The id of the customer until the merge",
    customer_id: "The customer that it is part of now",
    valid: "The span; without an end: in it when the two were merged",
  },
};
