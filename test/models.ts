import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { PACKAGE_DIRECTORY } from "../config.ts";

/**
 * Makes tables of the package's models, each over those before it and over tables that the test has made: a model is
 * plain SQL. What a build adds to it (keys, checks, comments) is not there.
 * @param names in an order in which each finds what it reads: `core.sessions`, `mart.fct_sessions`
 */
export async function makeModels(pool: pg.Pool, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const sql = await readFile(join(PACKAGE_DIRECTORY, "sql/models", `${name.replace(".", "/")}.sql`), "utf8");
    await pool.query(`drop table if exists ${name} cascade; create table ${name} as ${sql}`);
  }
}

/** The models from events to channel performance, in order. */
export const CHANNEL_MODELS = [
  "core.channel_rules",
  "core.source_categories",
  "core.click_ids",
  "core.visitor_events",
  "core.sessions",
  "core.own_hosts",
  "core.ad_spend_sources",
  "core.traffic_sources",
  "mart.fct_ad_spend",
  "mart.dim_channels",
  "mart.dim_campaigns",
  "mart.fct_sessions",
  "mart.fct_touchpoints",
  "mart.fct_attribution",
  "mart.channel_performance",
] as const;

/** The tables that those models read, empty. */
export const CHANNEL_INPUTS = `
  create table core.events (
    record_key uuid primary key, source text, name text, occurred_at timestamptz, device_token text, customer_ref text,
    email_token text, phone_token text, page_url text, referrer text, utm_source text, utm_medium text, utm_campaign text, product_ref text,
    properties jsonb
  );
  create table core.record_owners (record_key uuid primary key, customer_id uuid);
  create table core.restricted_records (record_key uuid primary key);
  create table core.ad_spend (
    record_key uuid, source text, spent_on date, platform text, campaign text, utm_source text, utm_medium text, amount numeric,
    currency text, impressions bigint, clicks bigint
  );
  create table core.daily_rates (currency text, valid_on date, rate numeric);
  create table core.kept_credit (order_id uuid, touchpoint_id uuid, model text, customer_id uuid, channel text, campaign_id uuid, share numeric,
    amount numeric, order_amount numeric);
  create table core.kept_campaigns (campaign_id uuid, source text, medium text, campaign text, channel text);
  create table mart.fct_orders (order_id uuid primary key, customer_id uuid, ordered_at timestamptz, order_date date, amount numeric)`;
