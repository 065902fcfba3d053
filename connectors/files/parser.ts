import type { SourceRecord } from "../connector.ts";

/** Takes what a parser makes of a file, in the order of its lines. */
export interface Sink {
  /** @param characters about how much text it was */
  record(record: SourceRecord, characters: number): void;
  /** @param line of the file that it begins in, from 1 */
  reject(reason: string, line: number, raw: string): void;
}

/** Makes records of a file's text, whose chunks may end anywhere. */
export interface Parser {
  push(text: string): void;
  end(): void;
}

/** A text format: one parser per file. */
export type CreateParser = (fileName: string, sink: Sink) => Parser;

/**
 * Characters that one record may have: far above any real one, and little enough to hold. What is longer is most often a
 * quote that nobody closed, or no text at all.
 */
export const MAX_RECORD_CHARACTERS = 10 * 1024 * 1024;
