import { resolve } from "node:path";
import { displayPath } from "../config.ts";
import type { RunReport } from "../domain/runs.ts";
import { runChecks } from "../warehouse/models/run-checks.ts";
import { query } from "../warehouse/read.ts";
import type { Session } from "./session.ts";

/**
 * The one screen at the end of a run: what was landed, what the mart holds, where to look.
 * @param reportFile absolute path of the report that was written
 */
export async function screenOf(session: Session, report: RunReport, reportFile: string): Promise<string> {
  const streams = report.syncs.flatMap((sync) => sync.streams);
  const total = (of: (stream: (typeof streams)[number]) => number): number =>
    streams.reduce((sum, stream) => sum + of(stream), 0);
  const rejected = total((stream) => stream.rejected);
  const mart = await martLine(session);
  const lines: [string, string][] = [
    [
      session.project.name,
      join(
        count(streams.length, "stream") + " synced",
        `${number(total((stream) => stream.rowsRead))} rows read, ${number(total((stream) => stream.inserted + stream.updated))} landed`,
        rejected === 0 ? "none quarantined" : `${number(rejected)} quarantined (miette quarantine list)`,
      ),
    ],
    ["mart", mart],
  ];
  if (session.stack.uiUrl) lines.push(["Temporal UI", session.stack.uiUrl]);
  lines.push(["SQL", psqlCommand(session)]);
  lines.push(["report", displayPath(reportFile)]);
  for (const { source, streams: synced } of report.syncs) {
    for (const { stream, notice } of synced) if (notice) lines.push(["notice", `${source}.${stream}: ${notice}`]);
  }
  const width = Math.max(...lines.map(([label]) => label.length)) + 3;
  return lines.map(([label, text]) => label.padEnd(width) + text).join("\n");
}

async function martLine(session: Session): Promise<string> {
  const { rows } = await query(
    session.analystPool,
    `select (select count(*) from mart.dim_customers where not is_anonymous)::float8, (select count(*) from mart.dim_customers where is_anonymous)::float8,
       count(*)::float8, coalesce(sum(amount), 0)::float8 from mart.fct_orders`,
    1,
  );
  const [customers = 0, anonymous = 0, orders = 0, amount = 0] = (rows[0] ?? []) as number[];
  const checks = await runChecks(session.pool, await session.graph());
  const failed = checks.filter(({ rows: breaking }) => breaking > 0);
  return join(
    count(customers, "customer") + (anonymous ? ` (and ${number(anonymous)} anonymous)` : ""),
    count(orders, "order"),
    amount.toLocaleString("en-US", { style: "currency", currency: session.project.currency }),
    failed.length === 0
      ? `${checks.length} checks passed`
      : `${failed.length} of ${checks.length} checks not passed (miette check)`,
  );
}

function join(...parts: string[]): string {
  return parts.join("   ");
}

function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}

/** How to open psql as the analyst; of the embedded warehouse the password lies in a file. */
export function psqlCommand({ settings, analystUrl }: Session): string {
  const passwordFile =
    settings.databaseUrl === null ? `PGPASSFILE=${displayPath(resolve(settings.home, "pgpass"))} ` : "";
  return `${passwordFile}psql ${analystUrl}`;
}
