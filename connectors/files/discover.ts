import { basename, dirname } from "node:path";
import { isDynamicPattern } from "tinyglobby";
import type { DiscoveredStream, SourceOptions, SourceRecord } from "../connector.ts";
import { inferStream } from "../infer-schema.ts";
import { findFiles } from "./find.ts";
import type { Sink } from "./parser.ts";
import { nothingMatches, type Files } from "./read.ts";
import { openText } from "./text.ts";

const SAMPLE_RECORDS = 10_000;
/** Of every file some, since the newest may have columns that the oldest lacks. */
const LEAST_PER_FILE = 100;
const SAMPLE_CHARACTERS = 32 * 1024 * 1024;

/**
 * Proposes one stream for the files that a config names, from the first records of each, 10,000 in all.
 * @param values how the connector's values arrive, as in `Source`
 */
export async function discoverFiles(
  { path, encoding, createParser }: Files,
  values: "text" | "json",
  options: SourceOptions,
): Promise<DiscoveredStream[]> {
  const files = await findFiles(path, options);
  if (files.length === 0) throw nothingMatches(path, options.directory);
  const share = Math.max(LEAST_PER_FILE, Math.ceil(SAMPLE_RECORDS / files.length));
  const sample = new Sample();
  for (const file of files) {
    const opened = await openText(file, encoding);
    try {
      const enough = Math.min(SAMPLE_RECORDS, sample.records.length + share);
      const parser = createParser(file.name, sample);
      let isCut = false;
      for await (const text of opened.text()) {
        options.signal.throwIfAborted();
        parser.push(text);
        isCut = sample.records.length >= enough || sample.characters >= SAMPLE_CHARACTERS;
        if (isCut) break;
      }
      if (!isCut) parser.end();
      sample.records.length = Math.min(sample.records.length, enough);
    } finally {
      await opened.close();
    }
    if (sample.records.length >= SAMPLE_RECORDS || sample.characters >= SAMPLE_CHARACTERS) break;
  }
  const stream = inferStream(streamName(path), sample.records, values);
  return stream ? [stream] : [];
}

class Sample implements Sink {
  records: SourceRecord[] = [];
  characters = 0;

  record(record: SourceRecord, characters: number): void {
    this.records.push(record);
    this.characters += characters;
  }

  reject(_reason: string, _line: number, raw: string): void {
    this.characters += raw.length;
  }
}

/** `reviews/*.csv.gz` → `reviews`, `data/orders-2024-*.csv` → `orders`, `raw_orders.csv.gz` → `raw_orders`. */
function streamName(path: string): string {
  let name = path;
  do {
    const stem = basename(name).replace(/\..*$/, "");
    const literal = isDynamicPattern(stem) ? stem.replace(/[*?[{(!+@].*$/, "") : stem;
    const words = literal
      .normalize("NFKD")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "_")
      .replace(/^[_\d]+|_+$/g, "")
      .replace(/(_\d+)+$/, "");
    if (words !== "") return words;
    name = dirname(name);
  } while (name !== dirname(name));
  return "records";
}
