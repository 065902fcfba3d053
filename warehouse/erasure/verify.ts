import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import type { Finding, Verification } from "../../domain/requests.ts";
import { openSealed } from "../requests/store.ts";
import type { Vault } from "../vault.ts";
import { Needles } from "./needles.ts";
import { scanStatistics, scanTables } from "./scan.ts";
import type { Scope } from "./scope.ts";

/** Texts of what Temporal keeps, one per execution; null where not all could be read. */
export type Histories = AsyncIterable<string | null>;

/**
 * Looks for what is left of some requests' people: in every column of every table, the planner's statistics, the logs of
 * the home, and Temporal's histories. It writes nothing, and shares no code with what has erased.
 * @param logFolder null: the logs are kept where this process can't look
 */
export async function verifyErased(
  pool: pg.Pool,
  scope: Pick<Scope, "tokens" | "customers" | "identifiers">,
  places: { logFolder: string | null; histories: Histories },
): Promise<Verification> {
  const needles = new Needles(scope);
  const client = await pool.connect();
  try {
    const tables = await scanTables(client, needles);
    const statistics = await scanStatistics(client, needles);
    const logs = await scanLogs(places.logFolder, needles);
    const histories = await scanHistories(places.histories, needles);
    return {
      verifiedAt: new Date().toISOString(),
      tables: tables.tables,
      rows: tables.rows,
      statistics: statistics.columns,
      logs: logs.files,
      histories: histories.count,
      findings: [...tables.findings, ...statistics.findings, ...logs.findings, ...histories.findings],
      unscanned: [...tables.unscanned, ...logs.unscanned, ...histories.unscanned],
    };
  } finally {
    client.release();
  }
}

/** Which of the findings are of one request, where several were looked for at once. */
export async function findingsOf(
  pool: pg.Pool,
  vault: Vault,
  requestId: string,
  found: readonly Finding[],
): Promise<Finding[]> {
  const scope = await openSealed<Scope>(pool, vault, requestId, "scope");
  if (!scope || found.length === 0) return [];
  const client = await pool.connect();
  try {
    const places = new Set(found.map(({ place }) => place));
    const { findings } = await scanTables(client, new Needles(scope), (relation) => places.has(`table ${relation}`));
    // What lies outside of tables is not read again, so it stands with each of them.
    return [...findings, ...found.filter(({ place }) => !place.startsWith("table "))];
  } finally {
    client.release();
  }
}

async function scanLogs(
  folder: string | null,
  needles: Needles,
): Promise<{ files: number; findings: Finding[]; unscanned: string[] }> {
  if (folder === null) return { files: 0, findings: [], unscanned: ["logs: they are kept outside of the home"] };
  const names = await readdir(folder).catch(() => []);
  const findings: Finding[] = [];
  for (const name of names) {
    let rest = "";
    let count = 0;
    for await (const piece of createReadStream(join(folder, name), "utf8") as AsyncIterable<string>) {
      rest += piece;
      const end = rest.lastIndexOf("\n") + 1;
      count += needles.countIn(rest.slice(0, end));
      rest = rest.slice(end);
    }
    count += needles.countIn(rest);
    if (count > 0) findings.push({ place: `log ${name}`, count });
  }
  return { files: names.length, findings, unscanned: [] };
}

async function scanHistories(
  histories: Histories,
  needles: Needles,
): Promise<{ count: number; findings: Finding[]; unscanned: string[] }> {
  let [count, hits, isCut] = [0, 0, false];
  for await (const text of histories) {
    if (text === null) {
      isCut = true;
      continue;
    }
    count += 1;
    if (needles.countIn(text) > 0) hits += 1;
  }
  return {
    count,
    findings: hits > 0 ? [{ place: "histories of workflows", count: hits }] : [],
    unscanned: isCut ? [`histories of workflows: only the newest ${count} were read`] : [],
  };
}
