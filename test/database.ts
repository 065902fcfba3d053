import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";
import { openPool } from "../warehouse/database.ts";
import { migrate } from "../warehouse/migrate.ts";

export interface TestDatabase {
  url: string;
  pool: pg.Pool;
  drop(): Promise<void>;
}

/**
 * A migrated warehouse of the file's own, cloned from a template that the first caller makes.
 * @param server superuser's URL without a database
 */
export async function createTestDatabase(server: string = inject("postgresUrl")): Promise<TestDatabase> {
  const admin = new pg.Client({ connectionString: `${server}/postgres` });
  await admin.connect();
  const name = `t_${randomBytes(6).toString("hex")}`;
  try {
    await admin.query("select pg_advisory_lock(1)");
    const { rowCount } = await admin.query("select from pg_database where datname = 'miette_template'");
    if (!rowCount) {
      await admin.query("create database miette_making");
      await migrate(`${server}/miette_making`);
      await admin.query("grant pg_read_all_stats to privacy");
      await admin.query("alter database miette_making rename to miette_template");
    }
    await admin.query(`create database ${name} template miette_template`);
    await admin.query("select pg_advisory_unlock(1)");
  } finally {
    await admin.end();
  }
  const url = `${server}/${name}`;
  const pool = openPool(url, { name: "test" });
  // A database's own privileges are not copied from its template.
  await pool.query("select ops.settle_privileges()");
  return {
    url,
    pool,
    async drop() {
      await pool.end();
      const client = new pg.Client({ connectionString: `${server}/postgres` });
      await client.connect();
      await client.query(`drop database ${name} with (force)`);
      await client.end();
    },
  };
}
