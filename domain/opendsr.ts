/** The words of OpenDSR 2.0, by which controllers hand requests over. Pure; safe in workflows. */
import { refusalOf } from "./refusals.ts";
import type { RequestKind, RequestState, RequestSummary, RequestTerms } from "./requests.ts";

export const OPENDSR_VERSION = "2.0";

type OpenDsrStatus = "pending" | "in_progress" | "completed" | "cancelled";

/** OpenDSR knows the first three; the others are said by the names they have here. */
export const SUBJECT_REQUEST_TYPES: Readonly<Record<string, RequestKind>> = {
  erasure: "erasure",
  access: "access",
  portability: "portability",
  correction: "correction",
  restriction: "restriction",
  objection: "objection",
  opt_out: "opt_out",
  limit: "limit",
};

/** By `regulation`; its clock is the jurisdiction's. */
export const REGULATIONS: Readonly<Record<string, string>> = { gdpr: "EU", uk_gdpr: "UK", ccpa: "US-CA" };

/** OpenDSR has four states; what was refused or has expired is, for whoever handed it over, over without effect. */
function openDsrStatus(state: RequestState): OpenDsrStatus {
  if (state === "received") return "pending";
  if (state === "completed" || state === "completed_with_exceptions") return "completed";
  if (state === "cancelled" || state === "refused" || state === "expired") return "cancelled";
  return "in_progress";
}

/**
 * What `GET /requests/ID` and callbacks say; of a refusal also why, and where the person may complain.
 * @param resultsUrl where an archive is handed out; null: there is none
 */
export function statusBody(
  request: RequestSummary & { terms: RequestTerms },
  resultsUrl: string | null = null,
): Record<string, unknown> {
  const { refusal } = request.terms;
  return {
    api_version: OPENDSR_VERSION,
    controller_id: "api",
    subject_request_id: request.requestId,
    request_status: openDsrStatus(request.state),
    expected_completion_time: isoTime(request.dueAt),
    received_time: isoTime(request.receivedAt),
    ...(resultsUrl !== null && { results_url: resultsUrl }),
    ...(refusal && { extensions: { miette: { refusal: refusalOf(refusal, request.jurisdiction) } } }),
  };
}

function isoTime(value: string | null): string | null {
  return value === null ? null : new Date(value).toISOString();
}
