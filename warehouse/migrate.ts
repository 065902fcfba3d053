import { readdir, readFile } from "node:fs/promises";
import knex, { type Knex } from "knex";
import { UserError } from "../domain/errors.ts";

const DIRECTORY = new URL("../sql/migrations/", import.meta.url);

/**
 * Brings the warehouse's state tables to the newest migration; a second call does nothing.
 * @param databaseUrl a role that owns the database and may create roles
 * @param only names of the migrations to apply, for data that were kept under these; else all
 * @returns names of the migrations that were applied
 */
export async function migrate(databaseUrl: string, only?: readonly string[]): Promise<string[]> {
  const database = knex({ client: "pg", connection: databaseUrl, pool: { min: 0, max: 2 } });
  try {
    await database.raw("create schema if not exists ops");
    if (!only) await refuseNewer(database);
    const [, applied] = (await database.migrate.latest({
      migrationSource: new SqlFiles(only),
      tableName: "migrations",
      schemaName: "ops",
    })) as [number, string[]];
    // What is brought to an older state is settled when it is brought to the newest.
    if (only) return applied;
    const { rows } = (await database.raw(
      `select from ops.notes
       where name = 'privileges settled' and value = (select count(*)::text from ops.migrations)`,
    )) as { rows: unknown[] };
    if (rows.length === 0) await database.raw("select ops.settle_privileges()");
    return applied;
  } finally {
    await database.destroy();
  }
}

/** @throws UserError where a newer version has been at the warehouse, whose tables this one does not know */
async function refuseNewer(database: Knex): Promise<void> {
  if (!(await database.schema.withSchema("ops").hasTable("migrations"))) return;
  const seen = (await database.withSchema("ops").table("migrations").orderBy("id").pluck("name")) as string[];
  const known = new Set(await migrationNames());
  const unknown = seen.find((name) => !known.has(name));
  if (unknown === undefined) return;
  throw new UserError(
    `the warehouse was migrated by a newer version (${unknown}), and migrations only go forward; run that version, or restore a backup from before`,
  );
}

/** Names of all migrations, in their order. */
export async function migrationNames(): Promise<string[]> {
  return (await readdir(DIRECTORY)).filter((name) => name.endsWith(".sql")).toSorted();
}

class SqlFiles implements Knex.MigrationSource<string> {
  readonly #only: readonly string[] | undefined;
  constructor(only: readonly string[] | undefined) {
    this.#only = only;
  }
  async getMigrations(): Promise<string[]> {
    const names = await migrationNames();
    return this.#only === undefined ? names : names.filter((name) => this.#only?.includes(name));
  }
  getMigrationName(name: string): string {
    return name;
  }
  async getMigration(name: string): Promise<Knex.Migration> {
    const sql = await readFile(new URL(name, DIRECTORY), "utf8");
    return {
      // knex reads a bare `?` as a placeholder, also where it is the jsonb operator.
      up: async (transaction) => void (await transaction.raw(sql.replaceAll("?", "\\?"))),
      down: () => Promise.reject(new Error(`${name} can't be undone: write a new migration`)),
    };
  }
}
