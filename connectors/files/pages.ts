import type { Json } from "../../domain/streams.ts";
import type { Page, ReadOptions, ReadStream, Reject, SourceRecord } from "../connector.ts";
import type { Seal } from "./find.ts";
import type { Sink } from "./parser.ts";

const PAGE_CHARACTERS = 8 * 1024 * 1024;

/** Where reading stands: the files that have been read, and how far the one is that is being read. */
export interface FilesCursor {
  files: Record<string, Seal>;
  /** Of a share: the files that it is to read. */
  only?: string[];
  /** Rows are records and rejects. Never of a keyless stream, whose files are always read from their start. */
  current?: { file: string; seal: Seal; rows: number };
}

/**
 * Gathers what parsers make of the files into pages, and these in slices where they are asked for. A full page is closed by
 * the next row, or by the end of all files.
 */
export class PageBuilder implements Sink {
  readonly #stream: ReadStream;
  readonly #pageSize: number;
  readonly #sliceSize: number;
  readonly #read: Map<string, Seal>;
  readonly #only: string[] | undefined;
  #file: { name: string; seal: Seal; rows: number; skip: number } | null = null;
  #records: SourceRecord[] = [];
  #rejects: Reject[] = [];
  /** Of the page. */
  #rows = 0;
  #characters = 0;
  #closed: Page[] = [];

  /**
   * @param read the files that have been read before, by name
   * @param only the files of the share that is read, if it is one
   */
  constructor(
    stream: ReadStream,
    { pageSize, sliceSize = pageSize }: Pick<ReadOptions, "pageSize" | "sliceSize">,
    read: Map<string, Seal>,
    only: string[] | undefined,
  ) {
    this.#stream = stream;
    this.#only = only;
    this.#pageSize = pageSize;
    this.#sliceSize = sliceSize;
    this.#read = new Map(read);
  }

  /** @param skip how many rows of it are in earlier pages */
  beginFile(name: string, seal: Seal, skip: number): void {
    this.#read.delete(name);
    this.#file = { name, seal, rows: 0, skip };
  }

  record(record: SourceRecord, characters: number): void {
    if (!this.#makeRoom()) return;
    this.#records.push(record);
    this.#characters += characters;
  }

  reject(reason: string, line: number, raw: string): void {
    if (!this.#makeRoom()) return;
    const pointer = `line ${line} of ${this.#file?.name}`;
    this.#rejects.push({ stream: this.#stream.name, reason, pointer, raw });
    this.#characters += raw.length;
  }

  /** A keyless file's records are named by their number within it, so its pages hold nothing of another. */
  endFile(): void {
    const { name, seal } = this.#file as { name: string; seal: Seal };
    this.#read.set(name, seal);
    if (this.#stream.key === null) this.close();
    this.#file = null;
  }

  close(): void {
    this.#cut(this.#cursor());
    this.#rows = 0;
    this.#characters = 0;
  }

  /** @param cursor null where the page goes on */
  #cut(cursor: Json): void {
    const page: Page = { records: { [this.#stream.name]: this.#records }, cursor };
    if (cursor === null) page.goesOn = true;
    if (this.#rejects.length > 0) page.rejects = this.#rejects;
    if (this.#stream.key === null && this.#file) page.part = this.#file.name;
    this.#closed.push(page);
    this.#records = [];
    this.#rejects = [];
  }

  /** The pages and slices that have been closed since the last call. */
  take(): Page[] {
    const pages = this.#closed;
    this.#closed = [];
    return pages;
  }

  /** False where the row is in an earlier page. */
  #makeRoom(): boolean {
    const file = this.#file as { rows: number; skip: number };
    const isNew = file.rows >= file.skip;
    if (isNew) {
      if (this.#rows >= this.#pageSize || this.#characters >= PAGE_CHARACTERS) this.close();
      else if (this.#records.length + this.#rejects.length >= this.#sliceSize) this.#cut(null);
      this.#rows += 1;
    }
    file.rows += 1;
    return isNew;
  }

  #cursor(): Json {
    const cursor: FilesCursor = { files: Object.fromEntries(this.#read) };
    if (this.#only) cursor.only = this.#only;
    const file = this.#file;
    if (this.#stream.key !== null && file && file.rows > 0) {
      cursor.current = { file: file.name, seal: file.seal, rows: file.rows };
    }
    return cursor as unknown as Json;
  }
}
