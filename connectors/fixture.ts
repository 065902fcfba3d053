import type { Json } from "../domain/streams.ts";
import type { ReadStream, SourceRecord } from "./connector.ts";
import type { ConnectorError } from "./errors.ts";

/**
 * What a connector brings to the suite that all connectors pass (`contract.test.ts`): `connectors/<name>/fixture.ts`
 * exports it as `fixture`, and the registry's name finds it.
 */
export interface Fixture {
  /**
   * Makes what the cases read: files below `directory`, a database of its own in the server at `postgresUrl`.
   * Called once; the suite calls `close` at its end.
   */
  prepare(environment: FixtureEnvironment): Promise<PreparedFixture>;
}

export interface FixtureEnvironment {
  /** A folder of the connector's own, which the suite removes. It is also the `directory` of every call. */
  directory: string;
  /** Superuser URL of a real Postgres 18, without a database. */
  postgresUrl: string;
}

export interface PreparedFixture {
  /** At least one stream with a key, and one without. Each with five records or more, so that pages can be cut. */
  cases: FixtureCase[];
  /** What a person or the world does wrong: a file or table that is missing, something unreadable, one that hangs. */
  failures: FixtureFailure[];
  close?(): Promise<void>;
}

export interface FixtureCase {
  /** Ends the sentence "reads …" in the titles of the tests. */
  title: string;
  config: Json;
  stream: ReadStream;
  /** Every record as `read` gives it, in any order. */
  records: SourceRecord[];
  /** Reason and pointer of every record that `read` rejects; none where left out. */
  rejects?: { reason: string; pointer: string }[];
  /** What a second sync reads while the source stands still: nothing where it reads only what is new. */
  again: SourceRecord[];
  /** The name under which `discover` with this config finds the stream; the stream's own where left out. */
  discoveredAs?: string;
}

export interface FixtureFailure {
  title: string;
  config: Json;
  stream: ReadStream;
  throws: abstract new (...parameters: never[]) => ConnectorError;
  /** What the sentence has to name: the file or table, and the mend. */
  message: RegExp;
  /** Texts that must not be in the message: a password, a value. */
  secrets?: string[];
}
