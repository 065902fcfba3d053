/**
 * What a connector throws. The class decides whether the sync retries; nobody reads the prose.
 * A message names the place (file, host, table, line) and never a value of a record or a secret.
 */
export abstract class ConnectorError extends Error {
  abstract readonly retryable: boolean;
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The source asks for patience; `retryAfterMs` says how long, where it told. */
export class Throttled extends ConnectorError {
  readonly retryable = true;
  readonly retryAfterMs: number | undefined;
  constructor(message: string, options: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The source cannot be reached, broke off or hangs: tried again. */
export class Unavailable extends ConnectorError {
  readonly retryable = true;
}

/** Credentials are refused: a person has to mend them. */
export class Unauthorized extends ConnectorError {
  readonly retryable = false;
}

/** The source refuses, or what it holds can't be read (a missing file, half a gzip, a table that is gone). */
export class Rejected extends ConnectorError {
  readonly retryable = false;
}

/** The `config` of the source or stream is wrong: named with its key and the mend. */
export class InvalidConfig extends ConnectorError {
  readonly retryable = false;
}
