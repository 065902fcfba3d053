/** What needs a person: the words that workflows, activities, channels and commands share. Ids, codes and counts only. */

export type AlertState = "ok" | "warning" | "error";

/** Something that is watched, and how it stands. */
export interface Alert {
  /** `freshness:shop.orders`, `sync:shop`, `check:every_order_has_a_customer`, `build`, `run`. */
  subject: string;
  state: AlertState;
  /** Why: `late`, `check_failed`, or the code of the failure. Of a recovery: of what has recovered. */
  code: string;
  /** Numbers that tell how bad it is, by name: `hours`, `rows`. */
  counts: Record<string, number>;
}

/** What a channel is told when an alert changes. */
export interface AlertMessage extends Alert {
  /** The same for every attempt to tell this change, so that a receiver can drop a repetition. */
  id: string;
  project: string;
  /** When the alert changed, ISO 8601. */
  since: string;
}

/** By which a person is told: the keys of `notify` in miette.yaml. */
export const CHANNELS = ["webhook", "smtp"] as const;
export type Channel = (typeof CHANNELS)[number];

/** One line for a mail's subject or a chat: `[shop] error: sync:crm (source_unavailable)`. */
export function alertTitle({ project, state, subject, code }: AlertMessage): string {
  return `[${project}] ${state === "ok" ? "recovered" : state}: ${subject} (${code})`;
}

/** One or two sentences: what happened, and where to look. */
export function alertText({ state, subject, code, counts }: Alert): string {
  const [kind = "", name = ""] = subject.split(/:(.*)/s);
  if (state === "ok") return `${subject} is as it should be again.`;
  if (code === "late") {
    const { hours = 0, allowed = 0 } = counts;
    return `No new record of ${name} has landed for ${hours} hours; ${allowed} are allowed. miette status shows its last sync.`;
  }
  if (kind === "check") {
    const published = state === "error" ? "Nothing was published" : "The build was published all the same";
    return `The check ${name} finds ${counts["rows"] ?? 0} rows that break it. ${published}; miette build shows the checks.`;
  }
  if (kind === "request" || kind === "confirmation") {
    const days = counts["days"] ?? 0;
    const what = kind === "request" ? "The answer to" : "The confirmation of";
    const when = state === "error" ? "was due by law and is late" : `is due in ${days} ${days === 1 ? "day" : "days"}`;
    return `${what} the request ${name} ${when}. miette clock list shows every request that waits.`;
  }
  if (kind === "task") {
    const [request = "", destination = ""] = name.split(/:(.*)/s);
    const task = `${request} ${destination}`;
    const why =
      code === "manual"
        ? "which can only be told by hand or stands no longer in miette.yaml,"
        : "which has not answered for so long that a machine no longer asks,";
    return `A person has to ask ${destination}, ${why} to erase what it was handed. miette request task ${task} shows whom, miette request done ${task} notes that it was done.`;
  }
  if (kind === "removal") {
    const why =
      code === "manual"
        ? "can only be told by hand or stands no longer in miette.yaml"
        : "offers no call that takes people out";
    return `A person has to ask ${name} to take out people who no longer allow what they were handed over for, since it ${why}. miette segment leaving ${name} shows whom; with --done it notes that it was done.`;
  }
  if (code === "log_holds_values") {
    return `${counts["settings"] ?? 0} settings of the warehouse's server bring values of rows into its log. miette status names them and what to set instead.`;
  }
  if (code === "too_many_rejects") {
    return `The sync of ${name} stopped before its cursor moved, since too many records break their schema. miette quarantine list shows why.`;
  }
  const what = kind === "sync" ? `The sync of ${name}` : `The ${kind}`;
  return `${what} failed after its retries (${code}). miette status and the Temporal UI show where; docs/operations.md says what to do.`;
}
