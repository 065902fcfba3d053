import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createTestDatabase } from "../test/database.ts";
import { createWarehouse, type WarehouseUrls } from "./bootstrap.ts";
import { verifyAudit } from "./audit.ts";
import { readConsent, readLedger } from "./consent/state.ts";
import { inTransaction, openPool, openPools } from "./database.ts";
import { migrate } from "./migrate.ts";
import { readReceipts } from "./receipts.ts";
import { listRequests } from "./requests/store.ts";

let urls: WarehouseUrls;
let analyst: pg.Client;
let worker: pg.Client;
beforeAll(async () => {
  // Other test files make the roles of this cluster too; from here on they are there.
  await (await createTestDatabase()).drop();
  const password = (): string => randomBytes(12).toString("hex");
  urls = await createWarehouse(`${inject("postgresUrl")}/postgres`, {
    owner: password(),
    worker: password(),
    analyst: password(),
  });
  analyst = new pg.Client({ connectionString: urls.analyst });
  worker = new pg.Client({ connectionString: urls.worker });
  await Promise.all([analyst.connect(), worker.connect()]);
});
afterAll(async () => {
  await Promise.all([analyst.end(), worker.end()]);
  const admin = new pg.Client({ connectionString: `${inject("postgresUrl")}/postgres` });
  await admin.connect();
  await admin.query("drop database miette with (force)");
  await admin.end();
});

const DENIED = /permission denied|must be|not permitted/;

async function as<T>(role: string, work: () => Promise<T>): Promise<T> {
  await worker.query(`begin; set local role ${role}`);
  try {
    return await work();
  } finally {
    await worker.query("rollback");
  }
}

test("a loader that stands still in a transaction keeps nobody waiting for longer than half a minute", async () => {
  const pools = openPools(urls.worker);
  try {
    const { rows } = await pools.loader.query("show idle_in_transaction_session_timeout");
    expect(rows).toEqual([{ idle_in_transaction_session_timeout: "30s" }]);
  } finally {
    await Promise.all(Object.values(pools).map((pool) => pool.end()));
  }
});

test("who owns what does not log in, and who logs in is no superuser and owns nothing", async () => {
  const owner = new pg.Client({ connectionString: urls.owner });
  await owner.connect();
  const { rows } = await owner.query<{ owner: string; login: boolean; super: boolean }>(
    `select distinct r.rolname as owner, r.rolcanlogin as login, r.rolsuper as super
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.oid = c.relowner
     where n.nspname in ('ops', 'vault', 'privacy', 'raw', 'staging', 'core', 'mart')
     union select r.rolname, r.rolcanlogin, r.rolsuper from pg_namespace n join pg_roles r on r.oid = n.nspowner
     where n.nspname ~ '^(ops|vault|privacy|raw|staging|core|mart|build_.*)$'`,
  );
  expect(rows.map(({ owner: name }) => name).toSorted()).toEqual(["loader", "publisher", "warehouse"]);
  for (const each of rows) expect(each).toMatchObject({ login: false, super: false });
  const { rows: logins } = await owner.query(
    "select rolname from pg_roles where rolname in ('miette', 'worker', 'analyst') and (rolsuper or rolbypassrls or rolreplication)",
  );
  expect(logins).toEqual([]);
  await owner.end();
  expect(await migrate(urls.owner)).toEqual([]);
});

test("a worker's login can do nothing by itself, and only its roles' work in each role", async () => {
  await expect(worker.query("select * from vault.keys")).rejects.toThrow(DENIED);
  await expect(worker.query("set role warehouse")).rejects.toThrow(DENIED);
  await expect(worker.query("set role analyst")).rejects.toThrow(DENIED);
  const forbidden: Record<string, string[]> = {
    loader: [
      "select from core.people",
      "delete from vault.identifiers",
      "update vault.identifiers set wrapped_key = ''",
      "update vault.generations set status = 'destroyed'",
      "update privacy.epoch set epoch = 0",
      "delete from privacy.audit",
      "insert into privacy.audit_chain values (1, gen_random_uuid(), '')",
      "create table mart.leak (value text)",
    ],
    publisher: [
      "select from vault.identifiers",
      "select from vault.keys",
      "update privacy.epoch set epoch = 0",
      "delete from privacy.subjects",
      "create table raw.leak (value text)",
    ],
    transformer: [
      "select from vault.identifiers",
      "select from ops.quarantine",
      "select from privacy.subjects",
      "create table mart.leak (value text)",
      "create table raw.leak (value text)",
    ],
    privacy: [
      "update privacy.audit set actor = 'x'",
      "delete from privacy.audit_chain",
      "create table raw.leak (value text)",
    ],
    activator: ["delete from vault.identifiers", "select from ops.quarantine where false; delete from ops.quarantine"],
  };
  for (const [role, statements] of Object.entries(forbidden)) {
    for (const statement of statements) {
      const refused = as(role, () => worker.query(statement));
      // core.people is made by the first build; who may not look into the schema is not told that it is missing.
      await expect(refused, `${role}: ${statement}`).rejects.toThrow(DENIED);
    }
  }
  const allowed: Record<string, string[]> = {
    loader: ["select from vault.identifiers", "create table raw.t (value text)", "select from privacy.epoch for share"],
    publisher: ["create table mart.t (value text)", "insert into ops.notes values ('t', 't')"],
    transformer: ["create table build_mart.t (value text)"],
    privacy: [
      "delete from vault.identifiers",
      "delete from ops.quarantine",
      "update privacy.epoch set epoch = epoch + 1",
    ],
    activator: ["select from vault.identifiers"],
  };
  for (const [role, statements] of Object.entries(allowed)) {
    for (const statement of statements) await as(role, () => worker.query(statement));
  }
});

test("each role reads exactly what its work takes", async () => {
  const owner = new pg.Client({ connectionString: urls.owner });
  await owner.connect();
  await as("loader", () => worker.query("create table raw.shop__orders (total integer); commit; begin"));
  await as("publisher", () =>
    worker.query(
      "create table core.identifiers (token text, customer_id uuid); create table mart.orders (total integer); commit; begin",
    ),
  );
  await owner.query("select ops.settle_privileges()");
  const { rows } = await owner.query<{ role: string; reads: string[] }>(
    `select r.rolname as role, array_agg(n.nspname || '.' || c.relname || coalesce(nullif(col.names, ''), '') order by 1) as reads
     from pg_roles r cross join pg_class c join pg_namespace n on n.oid = c.relnamespace
     cross join lateral (
       select case when has_table_privilege(r.oid, c.oid, 'select') then ''
         else ' (' || string_agg(a.attname, ', ' order by a.attnum) || ')' end as names
       from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and has_column_privilege(r.oid, c.oid, a.attnum, 'select')
     ) as col
     where n.nspname in ('ops', 'vault', 'privacy', 'raw', 'staging', 'core', 'mart') and c.relkind in ('r', 'p', 'v', 'm')
       and r.rolname in ('loader', 'publisher', 'transformer', 'activator', 'auditor', 'analyst')
       and col.names is not null and has_schema_privilege(r.oid, n.oid, 'usage')
     group by r.rolname`,
  );
  const { rows: all } = await owner.query<{ name: string }>(
    "select schemaname || '.' || tablename as name from pg_tables where schemaname = 'ops'",
  );
  await owner.end();
  const reads = Object.fromEntries(rows.map((row) => [row.role, row.reads.toSorted()]));
  const ops = (...except: string[]): string[] => all.map(({ name }) => name).filter((name) => !except.includes(name));
  const acts = ["privacy.audit (audit_id)", "privacy.epoch", "privacy.subjects"];
  const vault = ["vault.generations", "vault.identifiers", "vault.keys"];
  expect(reads).toEqual({
    loader: [
      ...ops(),
      ...acts,
      ...vault,
      "privacy.bystanders",
      "privacy.consent_events",
      "privacy.consent_identifiers",
      "privacy.corrections",
      "privacy.expired_records",
      "privacy.retention_records",
      "privacy.stripped_records",
      "privacy.suppressions",
      "raw.shop__orders",
    ].toSorted(),
    publisher: [
      ...ops(),
      ...acts,
      "core.identifiers",
      "mart.orders",
      "privacy.request_events (request_id, happened_at, event)",
      "privacy.requests (request_id, kind, state, jurisdiction, received_at)",
      "raw.shop__orders",
    ].toSorted(),
    transformer: [
      "core.identifiers",
      "mart.orders",
      "ops.blocked_identifiers",
      "ops.identity_decisions",
      "ops.kept_campaigns",
      "ops.kept_credit",
      "ops.relation_state",
      "ops.settings",
      "ops.use_limits",
      "raw.shop__orders",
    ],
    activator: [
      ...acts,
      ...vault,
      "core.identifiers",
      "mart.orders",
      "privacy.consent_events",
      "privacy.consent_identifiers",
      "privacy.deliveries",
      "privacy.leaving_people",
      "privacy.recipients",
    ].toSorted(),
    auditor: [
      ...ops("ops.quarantine", "ops.cursors", "ops.set_aside"),
      "core.identifiers",
      "privacy.audit",
      "privacy.audit_chain",
      "privacy.consent_events",
      "privacy.consent_identifiers",
      "privacy.deliveries",
      "privacy.held_records (request_id, record_key, relation, purpose, law, until, hold_id, released_at, held_at)",
      "privacy.holds",
      "privacy.receipts",
      "privacy.recipients",
      "privacy.request_events",
      "privacy.requests",
      "privacy.retention_runs",
      "privacy.subjects",
      "vault.generations",
    ].toSorted(),
    // A view of the mart that is published is granted as it is made.
    analyst: ["ops.settings"],
  });
});

test("an auditor reads audit, receipts, requests and consent, and changes none of them", async () => {
  const auditor = openPool(urls.owner, { name: "auditor", role: "auditor" });
  expect((await inTransaction(auditor, (client) => verifyAudit(client))).firstBad).toBeNull();
  expect(await readReceipts(auditor, null)).toEqual([]);
  expect(await listRequests(auditor)).toEqual([]);
  const somebody = "00000000-0000-4000-8000-000000000001";
  expect(await readConsent(auditor, [somebody], ["marketing"])).toMatchObject([{ standing: "unknown" }]);
  expect(await readLedger(auditor, somebody)).toEqual([]);
  for (const table of ["audit", "receipts", "requests", "consent_events", "recipients"]) {
    await expect(auditor.query(`delete from privacy.${table}`), table).rejects.toThrow(DENIED);
  }
  await expect(auditor.query("insert into privacy.audit (actor, action) values ('x', 'x')")).rejects.toThrow(DENIED);
  await auditor.end();
});

test("an analyst can keep nothing, run no code in the server, become nobody else and see nobody's statements", async () => {
  for (const statement of [
    "create function pg_temp.leak(text) returns boolean language sql cost 0.0000001 as 'select true'",
    "create temporary table t (value text)",
    "create table public.t (value text)",
    "create table mart.t (value text)",
    "create schema s",
    "do $$ begin raise notice 'x'; end $$",
    "copy (select 1) to program 'cat'",
    "copy (select 1) to '/tmp/leak'",
    "select lo_import('/etc/passwd')",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'x')",
    "select pg_read_file('/etc/passwd')",
    "select pg_ls_dir('.')",
    "create extension dblink schema mart",
    "create extension postgres_fdw schema mart",
    "set role loader",
    "set role publisher",
    "set role transformer",
    "set role privacy",
    "set role miette",
    "set session authorization postgres",
    "alter role analyst superuser",
    "alter system set log_statement = 'all'",
    "set log_statement = 'all'",
    "set session_replication_role = replica",
    "select from vault.identifiers",
    "select from privacy.audit",
    "select from ops.quarantine",
    "select from raw.anything",
    "select from pg_authid",
    "select from pg_statistic",
    "select pg_reload_conf()",
  ]) {
    await expect(analyst.query(statement), statement).rejects.toThrow(/permission denied|must be|only role|not exist/i);
  }
  await worker.query("select 'canary-7f3a@victim.test'");
  for (const catalogue of ["pg_stat_activity", "pg_locks", "pg_stats", "pg_prepared_xacts", "pg_cursors"]) {
    const { rows } = await analyst.query(`select row_to_json(c)::text as line from ${catalogue} as c`);
    expect(JSON.stringify(rows), catalogue).not.toContain("canary-7f3a");
  }
});
