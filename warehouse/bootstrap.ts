import pg from "pg";
import { quoteName } from "./database.ts";
import { migrate } from "./migrate.ts";

const OWNER = "miette";
const DATABASE = "miette";

/** Passwords of the two roles that log in. */
export interface RolePasswords {
  owner: string;
  analyst: string;
}

/**
 * Makes the warehouse of an embedded cluster, or brings it up to date: the database, its owner (no superuser), the
 * analyst's login, and the migrations.
 * @param superuserUrl any database of the cluster
 * @returns the owner's URL of the warehouse
 */
export async function createWarehouse(superuserUrl: string, passwords: RolePasswords): Promise<string> {
  const admin = new pg.Client({ connectionString: superuserUrl });
  await admin.connect();
  try {
    await ensureLogin(admin, OWNER, passwords.owner);
    const { rowCount } = await admin.query("select from pg_database where datname = $1", [DATABASE]);
    if (!rowCount)
      await admin.query(`create database ${quoteName(DATABASE)} owner ${quoteName(OWNER)} template template0`);
    const url = new URL(superuserUrl);
    url.username = OWNER;
    url.password = passwords.owner;
    url.pathname = `/${DATABASE}`;
    await migrate(url.href);
    await ensureLogin(admin, "analyst", passwords.analyst);
    return url.href;
  } finally {
    await admin.end();
  }
}

/** `CREATE ROLE` takes no parameters, so the password is quoted by the driver; the server stores its scram verifier. */
async function ensureLogin(admin: pg.Client, role: string, password: string): Promise<void> {
  const { rowCount } = await admin.query("select from pg_roles where rolname = $1", [role]);
  const rights = role === OWNER ? "createrole" : "nocreaterole";
  await admin.query(
    `${rowCount ? "alter" : "create"} role ${quoteName(role)} login ${rights} password ${pg.escapeLiteral(password)}`,
  );
}
