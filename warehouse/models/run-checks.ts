import type { ClientBase, Pool } from "pg";
import { UserError } from "../../domain/errors.ts";
import { inTransaction } from "../database.ts";
import { MODEL_SCHEMAS, readShapes } from "./catalog.ts";
import type { Check } from "./check.ts";
import type { Graph } from "./graph.ts";
import { redirect } from "./rewrite.ts";
import { statementError } from "./sql-errors.ts";
import { placeAt } from "./syntax.ts";

export interface CheckResult {
  name: string;
  severity: "error" | "warn";
  /** What holds where there are no rows. */
  sentence: string;
  file: string;
  /** How many rows break the check; their values are nobody's business here. */
  rows: number;
  /** Of the check's file. */
  hash: string;
  /** The versions of what it read, once they are published. */
  versions: Record<string, number>;
}

/** The result with the versions under which what it read is published. */
export function withVersions(result: CheckResult, graph: Graph, versions: ReadonlyMap<string, number>): CheckResult {
  const { readings } = graph.checks.find((check) => check.name === result.name)!;
  return {
    ...result,
    versions: Object.fromEntries(readings.map(({ relation }) => [relation, versions.get(relation) ?? 0])),
  };
}

/**
 * Runs every check against the published state, as a role that only reads. Throws a UserError where a check reads a
 * relation that was never built.
 */
export async function runChecks(pool: Pool, graph: Graph): Promise<CheckResult[]> {
  const work = async (client: ClientBase) => {
    const shapes = await readShapes(client, MODEL_SCHEMAS);
    for (const { readings, statement } of graph.checks) {
      const missing = readings.find(({ relation }) => !shapes.has(relation));
      if (!missing) continue;
      const mend = `reads ${missing.relation}, which was never built; run "miette build" first.`;
      throw new UserError(mend, placeAt(statement, missing.location));
    }
    return await countBreaches(client, graph.checks);
  };
  return await inTransaction(pool, work, "begin isolation level repeatable read read only").catch((error: unknown) => {
    throw statementError(error, { file: "check" });
  });
}

/**
 * Inside a transaction: runs checks as the role `transformer`, unable to write.
 * @param parts what is run of a check in place of all of it: a select of the rows that break it
 */
export async function countBreaches(
  client: ClientBase,
  checks: readonly Check[],
  parts: ReadonlyMap<Check, { sql: string; values: readonly unknown[] }> = new Map(),
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  // What is set after the savepoint ends with it, the transaction's being read-only included.
  await client.query(`savepoint checks; set local transaction_read_only = on; set local search_path = pg_catalog;
    set local jit = off; set local work_mem = '64MB'; set local role transformer`);
  for (const check of checks) {
    const { name, severity, sentence, statement, hash } = check;
    const file = statement.file.displayFile;
    const part = parts.get(check);
    const select = part?.sql ?? redirect(statement, [], () => null);
    const sql = `select count(*)::float8 as rows from (\n${select}\n) as breaches`;
    try {
      const { rows } = await client.query<{ rows: number }>(sql, part ? [...part.values] : []);
      results.push({ name, severity, sentence, file, rows: rows[0]!.rows, hash, versions: {} });
    } catch (error) {
      throw statementError(error, { file, sql, linesBefore: 1 });
    }
  }
  await client.query("rollback to savepoint checks");
  return results;
}
