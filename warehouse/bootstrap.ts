import pg from "pg";
import { connectPatiently } from "./connect.ts";
import { quoteName } from "./database.ts";
import { migrate } from "./migrate.ts";

const OWNER = "miette";
const DATABASE = "miette";

/** Passwords of the roles that log in. */
export interface RolePasswords {
  owner: string;
  worker: string;
  analyst: string;
}

/** URLs of the warehouse: for what migrates and administers it, for workers, and for analysts. */
export type WarehouseUrls = Record<keyof RolePasswords, string>;

/**
 * Makes the warehouse of an embedded cluster, or brings it up to date: the database, the login that migrates it (no
 * superuser), the logins of workers and analysts, and the migrations.
 * @param superuserUrl any database of the cluster
 */
export async function createWarehouse(superuserUrl: string, passwords: RolePasswords): Promise<WarehouseUrls> {
  const admin = await connectPatiently(superuserUrl);
  try {
    // Two commands that start at once would alter the same rows of the catalogue. The lock ends with the connection.
    await admin.query("select pg_advisory_lock(5131712)");
    await ensureLogin(admin, OWNER, passwords.owner);
    const { rowCount } = await admin.query("select from pg_database where datname = $1", [DATABASE]);
    if (!rowCount) {
      await shareRoles(admin);
      await admin.query(`create database ${quoteName(DATABASE)} owner ${quoteName(OWNER)} template template0`);
    }
    const urlOf = (user: string, password: string): string => {
      const url = new URL(superuserUrl);
      url.username = user;
      url.password = password;
      url.pathname = `/${DATABASE}`;
      return url.href;
    };
    const urls: WarehouseUrls = {
      owner: urlOf(OWNER, passwords.owner),
      worker: urlOf("worker", passwords.worker),
      analyst: urlOf("analyst", passwords.analyst),
    };
    await migrate(urls.owner);
    await ensureLogin(admin, "analyst", passwords.analyst);
    await ensureLogin(admin, "worker", passwords.worker);
    await harden(superuserUrl);
    return urls;
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

/** Roles belong to the cluster: those that another of its databases brought are the owner's to grant as well. */
async function shareRoles(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ role: string }>("select rolname as role from pg_roles where rolname = any($1)", [
    ["transformer", "analyst", "warehouse", "loader", "publisher", "privacy", "activator", "auditor"],
  ]);
  if (rows.length === 0) return;
  const roles = rows.map(({ role }) => quoteName(role)).join(", ");
  await admin.query(`grant ${roles} to ${quoteName(OWNER)} with admin option`);
}

/**
 * What only a superuser may settle. A worker's login may become the roles of its work and inherits none of them; nobody
 * but who migrates may run code of their own in the server or keep data in it that no table shows.
 */
async function harden(superuserUrl: string): Promise<void> {
  const url = new URL(superuserUrl);
  url.pathname = `/${DATABASE}`;
  const admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
  try {
    await admin.query(`
      grant loader, publisher, transformer, privacy, activator to worker with inherit false, set true;
      grant pg_read_all_stats to privacy;
      revoke usage on language plpgsql from public;
      grant usage on language plpgsql to ${quoteName(OWNER)};
      revoke execute on function lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) from public`);
  } finally {
    await admin.end();
  }
}
