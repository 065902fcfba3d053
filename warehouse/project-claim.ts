import type pg from "pg";
import { UserError } from "../domain/errors.ts";

/**
 * A warehouse belongs to one project, whose name the first command writes into it.
 * @throws UserError where it holds another's data
 */
export async function claimForProject(pool: pg.Pool, project: string): Promise<void> {
  await pool.query("insert into ops.notes (name, value) values ('project', $1) on conflict (name) do nothing", [
    project,
  ]);
  const { rows } = await pool.query<{ value: string }>("select value from ops.notes where name = 'project'");
  const owner = rows[0]?.value;
  if (owner !== project) {
    throw new UserError(
      `this warehouse holds the project ${owner}, not ${project}; give each its own MIETTE_HOME or DATABASE_URL`,
      { file: "miette.yaml", key: "name" },
    );
  }
}
