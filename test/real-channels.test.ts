import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "csv-parse/sync";
import type pg from "pg";
import { describe, expect, test } from "vitest";
import { HAS_SHARED_DATA, openPipeline, SHARED_DATA } from "./pipeline.ts";

const PROJECTS = join(dirname(fileURLToPath(import.meta.url)), "projects");

async function withMart(
  project: string,
  work: (rows: (sql: string) => Promise<any[]>, pool: pg.Pool) => Promise<void>,
) {
  const pipeline = await openPipeline(join(PROJECTS, project));
  try {
    await pipeline.run();
    await work(async (sql) => (await pipeline.pool.query(sql)).rows, pipeline.pool);
  } finally {
    await pipeline.close();
  }
}

const expected = async (file: string) =>
  parse(await readFile(join(SHARED_DATA, file)), { columns: true }) as Record<string, string>[];

describe.skipIf(!HAS_SHARED_DATA)("channels of real data through the whole pipeline", () => {
  test("conversion paths: credit of each channel as the MAM package gives it", async () => {
    await withMart("mam", async (rows) => {
      const figures: Record<string, string> = {
        first: "attribution_first_click_heuristic",
        last: "attribution_last_click_heuristic",
        last_non_direct: "attribution_last_click_non_A_heuristic",
        linear: "attribution_linear_heuristic",
        position_based: "attribution_position_based_0.4_0.2_0.4_heuristic",
      };
      const credit = await rows(
        "select channel, model, sum(revenue)::float8 as revenue from mart.channel_performance group by 1, 2",
      );
      const channels = await expected("mam_small/expected_by_channel.csv");
      expect(channels).toHaveLength(3);
      for (const row of channels) {
        const channel = row["channels"] === "A" ? "Direct" : row["channels"];
        for (const [model, column] of Object.entries(figures)) {
          const found = credit.find((one) => one.channel === channel && one.model === model);
          expect({ channel, model, revenue: found?.revenue.toFixed(2) }).toEqual({
            channel,
            model,
            revenue: Number(row[column]).toFixed(2),
          });
        }
      }
      expect(await rows("select count(*)::int as touchpoints from mart.fct_touchpoints")).toEqual([
        { touchpoints: 18 },
      ]);
    });
  });

  test("Snowplow's web events: its 18 sessions, 43 page views and 11 users", async () => {
    await withMart("snowplow", async (rows) => {
      const told = await expected("snowplow_web/expected/default/snowplow_web_sessions_expected.csv");
      expect(told).toHaveLength(18);
      const key = (row: Record<string, unknown>) => JSON.stringify(row);
      const nullable = (value: string | undefined) => (value === "" ? null : value);
      // Its channels are those of the tags alone; where it has none we also read the referrer.
      const found = await rows(
        `select to_char(ended_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') as ended_at, event_count::int as events,
           landing_page, case when medium in ('ppc', 'display') then channel end as channel, campaign
         from mart.fct_sessions`,
      );
      expect(found.map(key).toSorted()).toEqual(
        told
          .map((row) =>
            key({
              ended_at: row["end_tstamp"],
              events: Number(row["total_events"]),
              landing_page: row["first_page_url"],
              channel: row["default_channel_group"] === "Unassigned" ? null : row["default_channel_group"],
              campaign: nullable(row["mkt_campaign"]),
            }),
          )
          .toSorted(),
      );

      // A ping of a page left open counts as a view of it in its session, and is no row of the page views.
      const [pages] = await rows(
        `select count(distinct properties ->> 'page_view_id')::int as rows,
           count(distinct (properties ->> 'session_id', properties ->> 'page_view_id'))
             filter (where properties ->> 'page_view_id' is not null)::int as views
         from mart.fct_events`,
      );
      expect(pages).toEqual({
        rows: (await expected("snowplow_web/expected/snowplow_web_page_views_expected.csv")).length,
        views: told.reduce((sum, row) => sum + Number(row["page_views"]), 0),
      });
      expect(pages.rows).toBe(43);

      // Its stitching ends at the browser's id, which all its sessions share: one person each, and no two of them one.
      const owners = await rows(
        `select to_char(ended_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') as ended_at, landing_page, customer_id
         from mart.fct_sessions where customer_id <> ops.nobody()`,
      );
      const ownerOf = new Map(
        owners.map((each) => [`${each.ended_at} ${each.landing_page}`, each.customer_id as string]),
      );
      const stitched = told.filter((row) => row["domain_userid"] !== "");
      const pairs = new Set(
        stitched.map((row) =>
          [
            row["domain_userid"],
            row["stitched_user_id"],
            ownerOf.get(`${row["end_tstamp"]} ${row["first_page_url"]}`),
          ].join("|"),
        ),
      );
      const browsers = new Set(stitched.map((row) => row["domain_userid"]));
      expect(pairs.size).toBe(browsers.size);
      expect(new Set([...pairs].map((pair) => pair.split("|")[2])).size).toBe(browsers.size);
      expect([...pairs].filter((pair) => pair.endsWith("|"))).toEqual([]);

      const users = await rows(
        `select count(*)::int as sessions
         from mart.fct_sessions as sessions
         where exists (select from core.identifiers as i where i.customer_id = sessions.customer_id and i.kind = 'device_id')
         group by customer_id`,
      );
      const toldUsers = await expected("snowplow_web/expected/snowplow_web_users_expected.csv");
      expect(users).toHaveLength(11);
      expect(users.map((user) => user.sessions).toSorted()).toEqual(
        toldUsers.map((user) => Number(user["sessions"])).toSorted(),
      );
    });
  });
});
