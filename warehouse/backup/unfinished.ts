import type { ClientBase, Pool } from "pg";
import { UserError } from "../../domain/errors.ts";

/** While this schema is there, a restore is under way or was cut off; a schema, since every table of state goes and comes. */
export const UNFINISHED = "unfinished_restore";

export async function isUnfinished(client: ClientBase | Pool): Promise<boolean> {
  const { rows } = await (client as Pool).query<{ found: boolean }>("select to_regnamespace($1) is not null as found", [
    UNFINISHED,
  ]);
  return rows[0]?.found === true;
}

/** @throws UserError where a restore has not come to its end: what is there may lack the suppressions of erased people */
export async function refuseUnfinished(client: ClientBase | Pool): Promise<void> {
  if (!(await isUnfinished(client))) return;
  throw new UserError("a restore of this warehouse is under way or was cut off; run miette restore to its end first");
}
