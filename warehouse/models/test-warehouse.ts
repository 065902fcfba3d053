import type { Pool } from "pg";
import { loadSqlTree } from "../../config/sql-tree.ts";
import { loadContracts } from "../contracts.ts";
import type { Goal } from "../../domain/project.ts";
import type { SurvivorshipRule } from "../../domain/survivorship.ts";
import { computeContracts, computeModel } from "./compute.ts";
import { loadGraph, type Graph, type GraphProject } from "./graph.ts";
import { planBuild, type BuildPlan, type PlanOptions } from "./plan.ts";
import type { PublishResult } from "./publish-result.ts";
import { publish } from "./publish.ts";
import { loadProjectGraph } from "./project-graph.ts";
import type { ModelNode } from "./relation.ts";
import type { ModelFile } from "./syntax.ts";

/** A file of a test's SQL tree. */
export function sqlFile(path: string, text: string): ModelFile {
  return { path, displayFile: `sql/${path}`, text };
}

/** A project with one source, `shop`, whose streams are raw tables that the test fills itself. */
export function shopProject(streams: string[], settings: Partial<GraphProject> = {}): GraphProject {
  return {
    currency: "EUR",
    timeZone: "Europe/Paris",
    identity: {
      identifiers: [
        { kind: "customer_id", limit: 1, blocked: [], sharedAbove: null, window: null },
        { kind: "email", limit: 5, blocked: [], sharedAbove: null, window: null },
        { kind: "device_id", limit: 50, blocked: [], sharedAbove: 4, window: null },
      ],
    },
    sources: [
      { name: "shop", streams: streams.map((name) => ({ source: "shop", name, schema: { properties: {} } })) },
    ] as never,
    ...settings,
  };
}

/** The graph of some files alone, without the package's models and nodes. */
export async function graphOf(
  files: ModelFile[],
  streams: string[] = ["orders"],
  options: { nodes?: ModelNode[]; settings?: Partial<GraphProject> } = {},
): Promise<Graph> {
  return await loadGraph(files, options.nodes ?? [], loadContracts(files), shopProject(streams, options.settings));
}

/** The graph of the package's SQL tree with some staging models laid over it. */
export async function packageGraph(
  staging: ModelFile[],
  streams: string[],
  settings: Partial<GraphProject> = {},
  goals: Goal[] = [],
  survivorship: SurvivorshipRule[] = [],
): Promise<Graph> {
  const root = new URL("../../", import.meta.url).pathname;
  const files = [...(await loadSqlTree(`${root}sql`, "/nonexistent")), ...staging];
  return await loadProjectGraph(files, { ...shopProject(streams, settings), goals, survivorship });
}

/** A whole build, as the workflow runs it. */
export async function build(
  pool: Pool,
  graph: Graph,
  options: PlanOptions = {},
): Promise<{ plan: BuildPlan; published: PublishResult | null }> {
  const plan = await planBuild(pool, graph, options);
  if (!plan.buildId) return { plan, published: null };
  await compute(pool, graph, plan);
  return { plan, published: await publish(pool, graph, plan.buildId) };
}

export async function compute(pool: Pool, graph: Graph, plan: BuildPlan): Promise<void> {
  if (plan.hasContracts) await computeContracts(pool, graph, plan.buildId!);
  for (const { step } of plan.steps) await computeModel(pool, graph, plan.buildId!, step);
}

/** Says, as landing does, that rows of a raw table have changed. */
export async function touch(pool: Pool, ...relations: string[]): Promise<void> {
  await pool.query(
    `insert into ops.relation_state (relation) select unnest($1::text[])
     on conflict (relation) do update set version = ops.relation_state.version + 1`,
    [relations],
  );
}

/** Drops every relation of raw and of the models, and forgets builds. */
export async function emptyWarehouse(pool: Pool): Promise<void> {
  await pool.query(`do $$ declare t text; begin
    for t in select format('%I.%I', schemaname, viewname) from pg_views where schemaname ~ '^(build_)?(staging|core|mart)$' loop
      execute 'drop view if exists ' || t || ' cascade'; end loop;
    for t in select format('%I.%I', schemaname, tablename) from pg_tables where schemaname ~ '^(raw|(build_)?(core|mart))$' loop
      execute 'drop table if exists ' || t || ' cascade'; end loop;
    end $$;
    truncate ops.relation_state, ops.builds cascade`);
}

/** Makes a test's raw table tell what has changed of it, as landing and erasure do. */
export async function keepLandings(pool: Pool, ...tables: string[]): Promise<void> {
  await pool.query(`
    create or replace function raw.keep_landing() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' then
        insert into ops.removed_records (relation, record_key) values ('raw.' || tg_table_name, old.record_key)
        on conflict (relation, record_key) do update set removed_xid = pg_current_xact_id();
        return old;
      end if;
      new.landed_xid := pg_current_xact_id();
      return new;
    end $$`);
  for (const table of tables) {
    await pool.query(`
      alter table ${table} add column landed_xid xid8 not null default pg_current_xact_id();
      create trigger keep_landing before update or delete on ${table} for each row execute function raw.keep_landing()`);
  }
}

/** Columns that the contracts ask for, but for those of every record. */
const CONTRACT_COLUMNS: Record<string, string> = {
  customers:
    "customer_ref text, email_token text, phone_token text, country text, birth_year integer, registered_at timestamptz",
  orders:
    "order_number text, customer_ref text, email_token text, ordered_at timestamptz, delivered_at timestamptz, amount numeric(12,2), currency text",
  order_lines:
    "order_record_key uuid, line_number integer, product_ref text, quantity numeric, amount numeric, currency text",
  products: "product_ref text, product_name text, category text, price numeric, currency text",
  events:
    "name text, occurred_at timestamptz, device_token text, customer_ref text, email_token text, page_url text, referrer text, utm_source text, utm_medium text, utm_campaign text, product_ref text, properties jsonb",
  reviews:
    "product_ref text, customer_ref text, email_token text, order_record_key uuid, rating numeric, sentiment numeric, reviewed_at timestamptz",
  ad_spend:
    "spent_on date, platform text, campaign text, utm_source text, utm_medium text, amount numeric, currency text, impressions bigint, clicks bigint",
  fx_rates: "valid_on date, base_currency text, quote_currency text, rate numeric",
};

/** Makes raw tables that already have the contracts' columns, and the staging models over them. */
export async function makeContractStreams(pool: Pool, streams: string[]): Promise<ModelFile[]> {
  for (const stream of streams) {
    await pool.query(
      `create table raw.shop__${stream} (record_key uuid primary key default gen_random_uuid(), deleted_at timestamptz, ${CONTRACT_COLUMNS[stream]})`,
    );
    await keepLandings(pool, `raw.shop__${stream}`);
  }
  return streams.map((stream) =>
    sqlFile(
      `models/staging/shop__${stream}.sql`,
      `-- One row per record of ${stream}.\n-- contract: ${stream}\nselect * from raw.shop__${stream}\n`,
    ),
  );
}
