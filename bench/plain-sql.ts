import pg from "pg";
import { quoteName } from "../warehouse/database.ts";
import type { Graph } from "../warehouse/models/graph.ts";
import type { RelationSpec } from "../warehouse/models/relation.ts";
import { timed } from "./row.ts";

const SCHEMA = "reference";

/**
 * Seconds of what a person would do in psql: every contract and model of a published warehouse once more, as a plain
 * `create table … as` with the same keys, in order, on one connection, and with the settings that a build uses. Nodes are
 * left out: no select does what they do.
 */
export async function buildPlainly(pool: pg.Pool, graph: Graph): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query(`drop schema if exists ${SCHEMA} cascade; create schema ${SCHEMA}`);
    await client.query("set jit = off; set work_mem = '64MB'");
    const { seconds } = await timed(async () => {
      for (const step of graph.steps) {
        const select = selectOf(step);
        const [spec] = step.outputs;
        if (select === null || spec === undefined || spec.materialize === "view") continue;
        await makeTable(client, spec, select);
      }
    });
    await client.query(`drop schema ${SCHEMA} cascade; reset all`);
    return seconds;
  } finally {
    client.release();
  }
}

function selectOf(step: Graph["steps"][number]): string | null {
  if (step.kind === "sql") return step.model.statement.bytes.toString();
  if (step.kind === "node" || step.members.length === 0) return null;
  return step.members
    .map(
      ({ relation, source }) =>
        `select ${pg.escapeLiteral(source)} as source, * from ${relation} where deleted_at is null`,
    )
    .join(" union all ");
}

async function makeTable(client: pg.PoolClient, spec: RelationSpec, select: string): Promise<void> {
  const table = quoteName(SCHEMA, spec.name.replace(".", "_"));
  await client.query(`create table ${table} as\n${select}`);
  const list = (columns: readonly string[]): string => columns.map((column) => quoteName(column)).join(", ");
  const changes = [
    `add primary key (${list(spec.key)})`,
    ...spec.notNull.map((column) => `alter column ${quoteName(column)} set not null`),
    ...spec.foreignKeys.map(
      ({ columns, references }) =>
        `add foreign key (${list(columns)}) references ${quoteName(...references.split("."))}`,
    ),
  ];
  await client.query(`alter table ${table} ${changes.join(", ")}; analyze ${table}`);
}
