import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Profiler } from "node:inspector";
import type pg from "pg";
import { PACKAGE_DIRECTORY } from "../config.ts";
import type { BenchWorker } from "./worker-process.ts";

const SAMPLE_MS = 20;
const LINES = 40;

interface Profiling {
  /** Null: no profile is taken. */
  directory: string | null;
  /** Names the files. */
  label: string;
  worker: BenchWorker;
  pool: pg.Client;
  database: string;
}

/**
 * Runs `work` and keeps where its time went: `<label>.cpuprofile` of the worker's main thread, and `<label>.txt` with
 * functions by the time in themselves and what the server's connections were at, seen every 20 ms.
 */
export async function profiled<T>(
  { directory, label, worker, pool, database }: Profiling,
  work: () => Promise<T>,
): Promise<T> {
  if (directory === null) return await work();
  await mkdir(directory, { recursive: true });
  const file = join(directory, `${label}.cpuprofile`);
  await worker.startProfile();
  const statements = watchStatements(pool, database);
  try {
    return await work();
  } finally {
    const seen = await statements.stop();
    await worker.stopProfile(file);
    const profile = JSON.parse(await readFile(file, "utf8")) as Profiler.Profile;
    await writeFile(join(directory, `${label}.txt`), `${functionTimes(profile)}\n${seen}`);
  }
}

/** The functions of a profile by the time in themselves, as a text. Lines would be those of the code that tsx makes. */
function functionTimes(profile: Profiler.Profile): string {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const times = new Map<string, number>();
  let total = 0;
  for (const [index, sample] of (profile.samples ?? []).entries()) {
    const microseconds = profile.timeDeltas?.[index] ?? 0;
    const { functionName, url } = nodes.get(sample)!.callFrame;
    const name = `${functionName || "(anonymous)"} ${shortPath(url)}`.trimEnd();
    times.set(name, (times.get(name) ?? 0) + microseconds);
    total += microseconds;
  }
  const lines = [...times].toSorted((a, b) => b[1] - a[1]).slice(0, LINES);
  return [
    `The worker's main thread: ${(total / 1e6).toFixed(2)} s`,
    ...lines.map(([name, time]) => `${share(time, total)} ${(time / 1e6).toFixed(2).padStart(8)} s  ${name}`),
    "",
  ].join("\n");
}

function shortPath(url: string): string {
  return url.startsWith("file:") ? relative(PACKAGE_DIRECTORY, fileURLToPath(url)) : url;
}

function share(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1).padStart(5)}%`;
}

/** Looks at the server's connections again and again: needs nothing of the server, and sees the statement under way. */
function watchStatements(client: pg.Client, database: string): { stop(): Promise<string> } {
  const seen = new Map<string, number>();
  let rounds = 0;
  let isOver = false;
  const watch = async (): Promise<void> => {
    while (!isOver) {
      const { rows } = await client.query<{ state: string; query: string }>(
        `select case when state = 'active' then coalesce(wait_event_type || ' ' || wait_event, 'on the CPU') else 'between statements' end as state,
           left(regexp_replace(query, '\\s+', ' ', 'g'), 150) as query
         from pg_stat_activity
         where datname = $1 and application_name ~ '^miette (loader|publisher|privacy|activator)$' and state in ('active', 'idle in transaction')`,
        [database],
      );
      for (const { state, query } of rows) seen.set(`${state}: ${query}`, (seen.get(`${state}: ${query}`) ?? 0) + 1);
      rounds += 1;
      await sleep(SAMPLE_MS);
    }
  };
  const watching = watch();
  return {
    async stop() {
      isOver = true;
      await watching;
      const lines = [...seen].toSorted((a, b) => b[1] - a[1]).slice(0, LINES);
      return [
        `The server's connections in transactions, seen ${rounds} times; shares are of the whole time, and overlap`,
        ...lines.map(([what, count]) => `${share(count, rounds)}  ${what.trim()}`),
        "",
      ].join("\n");
    },
  };
}
