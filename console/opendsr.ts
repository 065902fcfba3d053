import { OPENDSR_VERSION, REGULATIONS, SUBJECT_REQUEST_TYPES } from "../domain/opendsr.ts";
import type { Intake } from "../warehouse/requests/intake.ts";

/** A value of an identity is at the most so long: an address has 320 characters. */
const MOST_CHARACTERS = 1_000;
const MOST_IDENTITIES = 20;
const MOST_CALLBACKS = 5;
const MOST_VALUES = 100;
const MOST_OF_VALUE = 10_000;

/** The shape of `POST /requests`; what it does not name is let pass, as OpenDSR asks of extensions. */
export const REQUEST_SCHEMA = {
  type: "object",
  required: ["subject_request_id", "subject_request_type", "subject_identities"],
  properties: {
    regulation: { enum: Object.keys(REGULATIONS) },
    // Version 4, as OpenDSR has it: an id with a clock or a name in it would tell more than that.
    subject_request_id: {
      type: "string",
      pattern: "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    },
    subject_request_type: { enum: Object.keys(SUBJECT_REQUEST_TYPES) },
    values: {
      type: "object",
      maxProperties: MOST_VALUES,
      additionalProperties: { type: ["string", "null"], maxLength: MOST_OF_VALUE },
    },
    agent: { type: "string", minLength: 1, maxLength: 200 },
    submitted_time: { type: "string", maxLength: 40 },
    api_version: { type: "string", pattern: "^2\\.\\d{1,3}$" },
    status_callback_urls: {
      type: "array",
      maxItems: MOST_CALLBACKS,
      items: { type: "string", maxLength: 2_000 },
    },
    subject_identities: {
      type: "array",
      minItems: 1,
      maxItems: MOST_IDENTITIES,
      items: {
        type: "object",
        required: ["identity_type", "identity_value"],
        properties: {
          identity_type: { type: "string", maxLength: 100 },
          identity_value: { type: "string", minLength: 1, maxLength: MOST_CHARACTERS },
          identity_format: { const: "raw" },
        },
      },
    },
  },
} as const;

/** A body that REQUEST_SCHEMA lets pass. */
export interface OpenDsrRequest {
  regulation?: string;
  subject_request_id: string;
  subject_request_type: string;
  subject_identities: { identity_type: string; identity_value: string }[];
  status_callback_urls?: string[];
  /** correction: the right values by `source.stream.field`; null: there is none. */
  values?: Record<string, string | null>;
  /** Who asks for the person. */
  agent?: string;
}

/** What a request asks, in our words. */
export function readOpenDsr(body: OpenDsrRequest): Intake {
  const values = (type: string): string[] =>
    body.subject_identities.filter((each) => each.identity_type === type).map((each) => each.identity_value);
  const others = body.subject_identities.filter(
    ({ identity_type: type }) => type !== "email" && type !== "phone" && type !== "phone_number",
  );
  return {
    requestId: body.subject_request_id,
    kind: SUBJECT_REQUEST_TYPES[body.subject_request_type] as Intake["kind"],
    channel: "api",
    jurisdiction: body.regulation === undefined ? null : (REGULATIONS[body.regulation] ?? null),
    named: {
      emails: values("email"),
      phones: [...values("phone"), ...values("phone_number")],
      ids: others.map((each) => `${each.identity_type}:${each.identity_value}`),
    },
    ...(body.values && { values: body.values }),
    ...(body.agent !== undefined && { agent: body.agent }),
    ...(body.status_callback_urls && { callbacks: body.status_callback_urls }),
    actor: "api",
  };
}

/** What can be asked here, and by which identities. */
export function discovery(kinds: readonly string[], base: string): Record<string, unknown> {
  const types = [...new Set(["email", "phone", ...kinds])].toSorted();
  return {
    api_version: OPENDSR_VERSION,
    supported_identities: types.map((type) => ({ identity_type: type, identity_format: "raw" })),
    supported_subject_request_types: Object.keys(SUBJECT_REQUEST_TYPES),
    processor_certificate: `${base}/certificate`,
  };
}
