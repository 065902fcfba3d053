import type { RequestKind } from "./requests.ts";

/** Workflow ids are data in the UI and in schedules; they carry no clock and no personal data. */

export const TASK_QUEUE = "miette";

/** Tells a workflow what its activity waits for, one sentence. */
export const WAITING_SIGNAL = "waiting";

export const RUN_WORKFLOW_ID = "run";
export const BUILD_WORKFLOW_ID = "build";
/** Also the id of its schedule. */
export const HEALTH_WORKFLOW_ID = "health";
export const IDENTITY_WORKFLOW_ID = "identity:apply";
/** Approves or refuses a change of the identity rules. */
export const DECIDE_RULES_SIGNAL = "decideRules";
export const KEYS_WORKFLOW_ID = "keys:rotate";
/** Names tokens under a new key, or retires the former one. */
export const REKEY_WORKFLOW_ID = "keys:rekey";

/** Says that somebody has withdrawn something since. */
export const REVOKE_MORE_SIGNAL = "revokeMore";
/** How the workflow is started that takes people out of destinations whom they allow no longer; one under way looks once more. */
export const REVOKE_DELIVERIES = {
  workflowId: "revocations",
  taskQueue: TASK_QUEUE,
  args: [],
  signal: REVOKE_MORE_SIGNAL,
  staticSummary: "people taken out of destinations",
};

/** The workflow id of a segment's hand-over to a destination: one at a time. */
export function deliveryWorkflowId(destination: string, segment: string): string {
  return `deliver:${destination}:${segment}`;
}

/** The workflow id of retention, and the id of its schedule. */
export const RETENTION_WORKFLOW_ID = "retention";

/** Finishes erasures of which something was held. */
export const HOLDS_WORKFLOW_ID = "holds";

/** Carries out what is approved: one at a time. */
export const ERASURE_WORKFLOW_ID = "erasures";

/** The workflow id of a request's erasure. */
export function erasureWorkflowId(requestId: string): string {
  return `erase:${requestId}`;
}

/** The workflow id of a readmission. */
export function readmissionWorkflowId(requestId: string): string {
  return `readmit:${requestId}`;
}

/** The workflow that carries out a request of a kind, given `{ requestId, actor, approvedBy }`. */
export function requestWorkflow(kind: RequestKind, requestId: string): { type: string; workflowId: string } {
  const type = REQUEST_WORKFLOWS[kind];
  if (type === "eraseSubject") return { type, workflowId: erasureWorkflowId(requestId) };
  if (type === "readmitSubject") return { type, workflowId: readmissionWorkflowId(requestId) };
  return { type, workflowId: `request:${requestId}` };
}

const REQUEST_WORKFLOWS: Readonly<Record<RequestKind, string>> = {
  access: "grantAccess",
  portability: "grantAccess",
  erasure: "eraseSubject",
  correction: "correctSubject",
  restriction: "applyChoice",
  objection: "applyChoice",
  opt_out: "applyChoice",
  limit: "applyChoice",
  consent: "applyChoice",
  readmission: "readmitSubject",
};

/** The workflow id of an archive's deletion, when its time is over. */
export function archiveWorkflowId(requestId: string): string {
  return `archive:${requestId}`;
}

/** The workflow id of what serves a request that came by the API. */
export function serveWorkflowId(requestId: string): string {
  return `serve:${requestId}`;
}

/** The workflow id of sending a code to whoever a request is about: one at a time. */
export function challengeWorkflowId(requestId: string): string {
  return `challenge:${requestId}`;
}

/** The workflow id of a request's clock. */
export function clockWorkflowId(requestId: string): string {
  return `clock:${requestId}`;
}

/** The workflow id of the later looks for what has come back. */
export function recheckWorkflowId(requestId: string): string {
  return `recheck:${requestId}`;
}

/** The workflow id of a source's sync, and the id of its schedule. */
export function syncWorkflowId(source: string): string {
  return `sync:${source}`;
}

/** The workflow id of a field's acceptance; the field's name, which may hold anything, is no part of it. */
export function schemaWorkflowId(source: string, stream: string, unique: string): string {
  return `schema:${source}.${stream}:${unique}`;
}

/** What tells apart the parts of a source that are synced at the same time. */
export function syncPart(syncId: string, share: number | undefined): string {
  return share === undefined ? syncId : `${syncId}/${share}`;
}
