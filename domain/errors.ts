/** Where a person has to look: a file, with a key path or a line where one is known. */
export interface Place {
  file?: string;
  /** A key path (`sources.shop.connector`) or a field. */
  key?: string;
  line?: number;
}

/**
 * What a person did wrong: one sentence with the place and the mend. The CLI prints the message
 * as it stands and exits with 2. Never holds a value of a record.
 */
export class UserError extends Error {
  readonly place: Place;
  constructor(message: string, place: Place = {}) {
    super(`${formatPlace(place)}${message}`);
    this.name = "UserError";
    this.place = place;
  }
}

/** Several user errors found in one pass, so that all are told at once. */
export class UserErrors extends UserError {
  readonly errors: readonly UserError[];
  constructor(errors: readonly UserError[]) {
    super(errors.map((error) => error.message).join("\n"));
    this.name = "UserErrors";
    this.errors = errors;
  }
}

/** What the world did wrong, after the retries: a code, and where the detail lies. Never a record's value. */
export class CodedError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  constructor(code: ErrorCode, message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "CodedError";
    this.code = code;
    this.retryable = options.retryable;
  }
}

export type ErrorCode =
  | "sync_superseded"
  | "source_throttled"
  | "source_unavailable"
  | "source_unauthorized"
  | "source_rejected"
  | "source_changed"
  | "source_invalid_config"
  | "too_many_rejects"
  | "cursor_conflict"
  | "epoch_conflict"
  | "schema_changed"
  | "stack_stopped"
  | "temporal_unavailable"
  | "worker_lost"
  | "warehouse_unavailable"
  | "warehouse_statement"
  | "model_failed"
  | "check_failed"
  | "build_superseded"
  | "key_missing"
  | "audit_broken"
  | "suppressions_unreadable"
  | "older_transactions"
  | "erasure_incomplete"
  | "rate_limited"
  | "notification_failed"
  | "delivery_in_flight"
  | "internal";

/** `miette.yaml:12 sources.shop: ` or an empty string where no place is known. */
function formatPlace(place: Place): string {
  const file = place.file ? `${place.file}${place.line ? `:${place.line}` : ""}` : "";
  const parts = [file, place.key ?? ""].filter(Boolean).join(" ");
  return parts ? `${parts}: ` : "";
}
