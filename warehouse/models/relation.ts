import type { ClientBase } from "pg";
import type { IdentityRules } from "../../domain/project.ts";
import type { SettingName } from "./functions.ts";
import type { MartSelect } from "./mart-select.ts";

/** What the runner has to know of a relation beside its select: from a model's header comment, or declared by a node. */
export interface RelationSpec {
  /** `core.people`: schema and name. */
  name: string;
  /** First line of the header, a sentence: `One row per order.` */
  grain: string;
  materialize: "view" | "table" | "incremental";
  /** Columns of the primary key; empty for a view. A key column `valid` of a range type becomes WITHOUT OVERLAPS. */
  key: string[];
  /** Inputs whose changes can be followed by computing only the rows that they touch. */
  follows: Follow[];
  notNull: string[];
  foreignKeys: { columns: string[]; references: string }[];
  /** Column name to description; becomes COMMENT ON COLUMN. */
  columns: Record<string, string>;
}

/** The rows of a model with certain values in `columns` depend, of an input, on its rows with those values in `from` alone. */
export interface Follow {
  relation: string;
  columns: string[];
  /** Columns of the input; null until the graph is read where the header leaves them to be found. */
  from: string[] | null;
}

/** A node of the model graph that is no select: declared inputs and outputs, computed by TypeScript. */
export interface ModelNode {
  name: string;
  inputs: string[];
  outputs: RelationSpec[];
  /**
   * The outputs that a full computation reads as the last publish left them. What they hold (a person's id, a span of
   * time) can't be computed from raw alone, so a backup keeps them.
   */
  remembers?: readonly string[];
  /** Selects that it runs; the graph holds them to what they may read. */
  selects?: readonly MartSelect[];
  /** Settings of the project whose values its rows depend on, beside the identity rules. */
  settings?: readonly SettingName[];
  /** Changes when the code's results would; like a model's SQL hash, it makes the node compute again. */
  version: string;
  /** Creates and fills each output in the build schema; returns rows per output. */
  compute(context: ComputeContext): Promise<Record<string, number>>;
  /**
   * Computes only what changes of the inputs' rows alter: creates each output with the rows of the touched keys as they
   * are now, and `touched(output)` with the keys (the output's key columns, perhaps others beside) of all published rows
   * that may differ or be gone. Rows that are sure to be new may stand in `added(output)` instead, a table or a view: they
   * are written without a look at what is published.
   * @returns false where a full computation is needed
   */
  computeChanges?(context: ChangeContext): Promise<boolean>;
}

export interface ComputeContext {
  /** Inside the model's transaction, as the role `transformer`. */
  client: ClientBase;
  /** Where to read an input: `build_core.x` if this run computed it, else the published `core.x`. Quoted, ready for SQL. */
  input(relation: string): string;
  /** Where to create an output: `build_core.x`. Quoted, ready for SQL. */
  output(relation: string): string;
  /** One of the relations that the node `remembers` (for changes alone: any of its outputs), as it stands, or null before its first publish. */
  published(relation: string): string | null;
  rules: IdentityRules;
  /**
   * Opens a second session, in which outputs can be filled while `client` is at others. It sees the inputs, and nothing of
   * what `client` writes.
   * Missing where all has to happen in one transaction.
   */
  openSecond?: () => Promise<ClientBase>;
  /** Gives a filled output its keys, indexes and statistics at once, in the session that filled it; the others get them at the end. */
  finish?: (session: ClientBase, relation: string) => Promise<void>;
}

/** As for a full computation, where `input` shows an input's rows as they are now, changed ones or not. */
export interface ChangeContext extends ComputeContext {
  /**
   * A relation with the key (of a contract: `record_key`) of the input's rows that came, changed or went since the last
   * publish, quoted, and with the row as it is, `now` (null where it went); of a table of `ops`, the table itself if it
   * changed. Null if nothing did.
   * @param columns of the rows that changed, those alone that did in one of these
   */
  changes(relation: string, columns?: readonly string[]): string | null;
  /** Where to create the touched keys of an output, quoted. */
  touched(relation: string): string;
  /** Where to create rows of an output whose keys are surely not published yet, quoted. */
  added(relation: string): string;
  /**
   * The values of `column`, as text, for which one of the node's selects has to be computed again, told by what it follows;
   * null where that can't be told or would be most of its rows.
   * @param rows how many rows the select has at the most
   */
  touchedValues(select: MartSelect, column: string, rows: number): Promise<readonly string[] | null>;
  /**
   * The select's rows with those values alone, and the parameters of its text, the first of which is $1.
   * @param column its name, and its type in SQL
   */
  rowsWith(
    select: MartSelect,
    column: { name: string; type: string },
    values: readonly string[],
  ): { sql: string; parameters: unknown[] };
}
