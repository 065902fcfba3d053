import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { UserError } from "../../domain/errors.ts";
import { isUnfinished } from "./unfinished.ts";

/** What a warehouse that is to be restored holds: nothing, a restore that was cut off, or a living warehouse. */
export type Target = "empty" | "unfinished" | "living";

export async function describeTarget(pool: pg.Pool): Promise<Target> {
  if (await isUnfinished(pool)) return "unfinished";
  const { rows } = await pool.query<{ isLiving: boolean }>(
    `select exists (select from vault.keys)
       or exists (select from pg_class where relnamespace = 'raw'::regnamespace and relkind = 'r') as "isLiving"`,
  );
  return rows[0]?.isLiving ? "living" : "empty";
}

/** A connection that has just been closed is seen by the server for some milliseconds more. */
const PATIENCE_MS = 3_000;

/** @throws UserError where anybody else is connected to the warehouse */
export async function requireAlone(pool: pg.Pool): Promise<void> {
  let others: string[] = [];
  for (let waited = 0; waited <= PATIENCE_MS; waited += 100) {
    const { rows } = await pool.query<{ name: string }>(
      `select distinct coalesce(nullif(application_name, ''), 'a connection without a name') as name from pg_stat_activity
       where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid() order by 1`,
    );
    others = rows.map(({ name }) => name);
    if (others.length === 0) return;
    await sleep(100);
  }
  throw new UserError(
    `others are connected to the warehouse (${others.join(", ")}); stop them first (miette down, or the workers of the deployment)`,
  );
}
