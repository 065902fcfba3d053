/** Why a value can't land as its schema says: a stable code, never the value. */
export class Rejection {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** A value in the text form that Postgres reads, null, or why it can't be had. */
export type Parsed = string | null | Rejection;
