/** One person as a destination knows them. */
export interface Member {
  /** The person's pseudonym at this destination; no other destination has the same. */
  id: string;
  /** What goes with it, by the names that the destination's mapping gives: the values of one kind of identifier each. */
  fields: Record<string, string[]>;
}

/** Members that enter or leave an audience together. */
export interface Parcel {
  /** The same at every attempt, and so is all else of the parcel: a receiver that has seen it drops the repetition. */
  key: string;
  audience: string;
  /** What the members have consented to. */
  purpose: string;
  /** When the parcel was made, ISO 8601. */
  at: string;
  members: Member[];
}

/** People of whom a destination is to keep nothing, in whichever audience. */
export interface Erasure {
  key: string;
  at: string;
  members: Member[];
}

/** A few words to one person, for whoever is capable of passing them on: a code by which they show who they are. */
export interface Message {
  key: string;
  at: string;
  /** The person's pseudonym at this destination, by which an erasure names them later. */
  id: string;
  /** `email` or `phone`, and the address. */
  to: { kind: string; value: string };
  /** Which text the destination is to write: `identity_check`. */
  template: string;
  values: Record<string, string>;
}

/**
 * What a call has come to. accepted: taken, and nothing is known of what became of it; confirmed: the destination says, or
 * it is plain, that it is done; unsupported: the destination can't; manual: a person has to see to it.
 */
export type Outcome = "accepted" | "confirmed" | "unsupported" | "manual";

export interface DestinationOptions {
  signal: AbortSignal;
  /** Absolute path of the project's folder: paths in a config are relative to it. */
  directory: string;
}

/**
 * A destination connector. Knows its files or service; knows neither Temporal nor the warehouse. Every method has its
 * effect once, however often it is called with the same key. What can't be done now throws the classes of
 * connectors/errors.ts; an absent method is one that the destination can't offer.
 */
export interface Destination<Config> {
  /** JSON Schema of `config`, with a description for every key. */
  spec: object;
  deliver?(config: Config, parcel: Parcel, options: DestinationOptions): Promise<Outcome>;
  /** Takes members out of an audience; their `fields` are empty. */
  remove?(config: Config, parcel: Parcel, options: DestinationOptions): Promise<Outcome>;
  erase?(config: Config, erasure: Erasure, options: DestinationOptions): Promise<Outcome>;
  send?(config: Config, message: Message, options: DestinationOptions): Promise<Outcome>;
}
