import { CodedError } from "../../domain/errors.ts";
import type { RowChanges } from "./publish-rows.ts";
import type { CheckResult } from "./run-checks.ts";

export interface PublishResult {
  buildId: string;
  relations: ({ relation: string } & RowChanges)[];
  /** Relations whose model is gone. */
  dropped: string[];
  checks: CheckResult[];
  /** What was computed while publishing, as an incremental build does. */
  models: ComputedModel[];
}

/** A relation computed in an incremental build. */
export interface ComputedModel {
  relation: string;
  /** How many rows it wrote. */
  rows: number;
  milliseconds: number;
  how: "incremental" | "full" | "unchanged";
}

/** Checks of severity error returned rows, so nothing was published. */
export class ChecksFailed extends CodedError {
  readonly checks: CheckResult[];
  constructor(checks: CheckResult[]) {
    const failed = checks.filter(isFailed);
    const list = failed.map(({ name, file, rows }) => `${name} (${file}): ${rows} ${rows === 1 ? "row" : "rows"}`);
    super("check_failed", `nothing was published, since checks failed: ${list.join("; ")}.`, { retryable: false });
    this.name = "ChecksFailed";
    this.checks = checks;
  }
}

export function isFailed(check: CheckResult): boolean {
  return check.severity === "error" && check.rows > 0;
}
