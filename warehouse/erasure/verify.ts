import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import type { Finding, Verification } from "../../domain/requests.ts";
import { Needles } from "./needles.ts";
import { scanStatistics, scanTables } from "./scan.ts";
import type { Scope } from "./scope.ts";

/** Texts of what Temporal keeps, one per execution; null where not all could be read. */
export type Histories = AsyncIterable<string | null>;

/**
 * Looks for what is left of some requests' people, for all of them in one pass: in every column of every table, the
 * planner's statistics, the logs of the home, and Temporal's histories. It writes nothing, and shares no code with what
 * has erased.
 * @param places.logFolder null: the logs are kept where this process can't look
 * @returns by request; what was found outside of tables stands with each of them, since it is not read again
 */
export async function verifyErased(
  pool: pg.Pool,
  scopes: ReadonlyMap<string, Scope>,
  places: { logFolder: string | null; histories: Histories },
): Promise<Map<string, Verification>> {
  const needles = Needles.ofAll([...scopes.values()]);
  const clients = await Promise.all([pool.connect(), pool.connect()]);
  try {
    const tables = await scanTables(clients, needles);
    const statistics = await scanStatistics(clients[0], needles);
    const logs = await scanLogs(places.logFolder, needles);
    const histories = await scanHistories(places.histories, needles);
    const elsewhere = [...statistics.findings, ...logs.findings, ...histories.findings];
    const verified = {
      verifiedAt: new Date().toISOString(),
      tables: tables.tables,
      rows: tables.rows,
      statistics: statistics.columns,
      logs: logs.files,
      histories: histories.count,
      unscanned: [...tables.unscanned, ...logs.unscanned, ...histories.unscanned],
    };
    const verifications = new Map<string, Verification>();
    for (const [id, scope] of scopes) {
      const own = scopes.size === 1 ? tables.findings : await findingsOf(clients, scope, tables.findings);
      verifications.set(id, { ...verified, findings: [...own, ...elsewhere] });
    }
    return verifications;
  } finally {
    for (const client of clients) client.release();
  }
}

/** Which of the findings are of one request, where several were looked for at once. */
async function findingsOf(clients: pg.ClientBase[], scope: Scope, found: readonly Finding[]): Promise<Finding[]> {
  if (found.length === 0) return [];
  const places = new Set(found.map(({ place }) => place));
  return (await scanTables(clients, new Needles(scope), (relation) => places.has(`table ${relation}`))).findings;
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
      count += needles.count(rest.slice(0, end)).hits;
      rest = rest.slice(end);
    }
    count += needles.count(rest).hits;
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
    if (needles.count(text).hits > 0) hits += 1;
  }
  return {
    count,
    findings: hits > 0 ? [{ place: "histories of workflows", count: hits }] : [],
    unscanned: isCut ? [`histories of workflows: only the newest ${count} were read`] : [],
  };
}
