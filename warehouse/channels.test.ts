import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/database.ts";
import { CHANNEL_INPUTS, CHANNEL_MODELS, makeModels } from "../test/models.ts";
import { HAS_SHARED_DATA, SHARED_DATA } from "../test/pipeline.ts";

let database: TestDatabase;
const rows = async (sql: string, values?: unknown[]) => (await database.pool.query(sql, values)).rows;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query(CHANNEL_INPUTS);
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.pool.query("truncate core.events, core.ad_spend");
});

interface Arrival {
  source?: string | null;
  medium?: string | null;
  campaign?: string | null;
  referrer?: string;
  page?: string | null;
}

/** Lets one visitor arrive in each of these ways, and returns the sessions that come of it, in order. */
async function sessionsOf(arrivals: Arrival[]): Promise<Record<string, string | null>[]> {
  const page = ({ page }: Arrival) => (page === undefined ? "https://www.shop.example/" : page);
  await database.pool.query(
    `insert into core.events (record_key, source, name, occurred_at, device_token, utm_source, utm_medium, utm_campaign, referrer, page_url)
     select gen_random_uuid(), 'web', 'page_viewed', '2026-01-01', 'device_id_' || a.n, a.source, a.medium, a.campaign, a.referrer, a.page
     from json_to_recordset($1) as a (n int, source text, medium text, campaign text, referrer text, page text)`,
    [JSON.stringify(arrivals.map((arrival, n) => ({ ...arrival, n, page: page(arrival) })))],
  );
  await makeModels(database.pool, CHANNEL_MODELS);
  return await rows(
    `select sessions.channel, sessions.source, sessions.medium, sessions.campaign
     from mart.fct_sessions as sessions join core.events on record_key = session_id
     order by substr(device_token, 11)::int`,
  );
}

const channelsOf = async (arrivals: Arrival[]) => (await sessionsOf(arrivals)).map(({ channel }) => channel);

describe.skipIf(!HAS_SHARED_DATA)("GA4's default channel group", () => {
  const read = async (file: string) =>
    parse(await readFile(join(SHARED_DATA, "channel_classification", file)), { columns: true }) as Record<
      string,
      string
    >[];

  test("names every vector's channel", async () => {
    const vectors = await read("ga4_default_channel_grouping.csv");
    const found = await channelsOf(
      vectors.map(({ source, medium, campaign }) => ({ source, medium, campaign }) as Arrival),
    );
    expect(found).toEqual(vectors.map((vector) => vector["expected_channel"]));
    expect(found).toHaveLength(30);
  });

  test("knows what each of its sources is", async () => {
    const sources = await read("ga4_source_categories.csv");
    const channels: Record<string, string> = {
      SOURCE_CATEGORY_SEARCH: "Paid Search",
      SOURCE_CATEGORY_SOCIAL: "Paid Social",
      SOURCE_CATEGORY_SHOPPING: "Paid Shopping",
      SOURCE_CATEGORY_VIDEO: "Paid Video",
    };
    const found = await channelsOf(sources.map((row) => ({ source: row["source"] as string, medium: "cpc" })));
    const wrong = sources.filter((row, i) => found[i] !== channels[row["source_category"] as string]);
    expect(wrong).toEqual([]);
  });
});

describe("a visit's channel", () => {
  test("comes from the referrer where nothing is tagged", async () => {
    const referrers: [referrer: string | undefined, channel: string, source: string | null, medium: string | null][] = [
      ["https://www.google.com/", "Organic Search", "google", "organic"],
      ["https://www.google.co.uk/search?q=laptop", "Organic Search", "google", "organic"],
      ["https://google.com.au", "Organic Search", "google", "organic"],
      ["https://fr.search.yahoo.com/x", "Organic Search", "search.yahoo.com", "organic"],
      ["https://docs.google.com/document/d/1", "Referral", "docs.google.com", "referral"],
      ["https://mail.google.com/mail/u/0/", "Email", "gmail", "email"],
      ["android-app://com.google.android.gm/", "Email", "gmail", "email"],
      ["android-app://com.google.android.googlequicksearchbox/", "Organic Search", "google", "organic"],
      ["https://l.instagram.com/", "Organic Social", "instagram", "social"],
      ["https://m.facebook.com:443/", "Organic Social", "facebook", "social"],
      ["https://www.pinterest.fr/", "Organic Social", "pinterest", "social"],
      ["https://t.co/abc", "Organic Social", "twitter", "social"],
      ["https://shop.somebody.wordpress.com/", "Organic Social", "wordpress", "social"],
      ["https://vimeo.com/1", "Organic Video", "vimeo", "referral"],
      ["https://www.youtube.com/", "Organic Video", "youtube", "referral"],
      ["https://www.amazon.de/", "Organic Shopping", "amazon", "referral"],
      ["https://www.Review-Site.example/best", "Referral", "review-site.example", "referral"],
      ["https://user:secret@site.example/x", "Referral", "site.example", "referral"],
      ["https://googleplex.example/", "Referral", "googleplex.example", "referral"],
      ["about:blank", "Direct", null, null],
      ["", "Direct", null, null],
      [undefined, "Direct", null, null],
    ];
    const found = await sessionsOf(referrers.map(([referrer]) => ({ ...(referrer !== undefined && { referrer }) })));
    expect(found.map(({ channel, source, medium }) => [channel, source, medium])).toEqual(
      referrers.map(([, ...expected]) => expected),
    );
  });

  test("is not said by the project's own hosts, which are those that visitors land on", async () => {
    expect(
      await sessionsOf([
        { referrer: "https://www.shop.example/cart" },
        { referrer: "https://shop.example/cart" },
        { referrer: "https://help.shop.example/" },
        { page: "https://help.shop.example/returns", referrer: "https://www.shop.example/" },
      ]),
    ).toMatchObject([{ channel: "Direct" }, { channel: "Direct" }, { channel: "Direct" }, { channel: "Direct" }]);
  });

  test("is not changed by a page that somebody else's host shows once, nor by a search engine's own", async () => {
    const others = Array.from({ length: 2000 }, () => ({}));
    const [mirror, , review, google] = await channelsOf([
      { page: "https://mirror.example/" },
      { page: "https://www.google.com/search" },
      { referrer: "https://mirror.example/" },
      { referrer: "https://www.google.com/" },
      ...others,
    ]);
    expect([mirror, review, google]).toEqual(["Direct", "Referral", "Organic Search"]);
  });

  test("comes from the tags of the page's address where the source has no columns for them", async () => {
    expect(
      await sessionsOf([
        {
          page: "https://www.shop.example/a?x=1&utm_source=Newsletter&utm_medium=email&utm_campaign=Spring+sale%202026&y=2#utm_source=no",
          referrer: "https://mail.google.com/",
        },
        { page: "https://www.shop.example/?utm_source=a", source: "b", medium: "affiliate" },
        { page: "https://www.shop.example/?utm_source=&utm_medium=", referrer: "https://www.bing.com/" },
        { source: " ", medium: "", referrer: "https://www.bing.com/" },
        { campaign: "spring", referrer: "https://www.bing.com/" },
      ]),
    ).toEqual([
      { channel: "Email", source: "newsletter", medium: "email", campaign: "Spring sale 2026" },
      { channel: "Affiliates", source: "b", medium: "affiliate", campaign: null },
      { channel: "Organic Search", source: "bing", medium: "organic", campaign: null },
      { channel: "Organic Search", source: "bing", medium: "organic", campaign: null },
      { channel: "Organic Search", source: "bing", medium: "organic", campaign: "spring" },
    ]);
  });

  test("comes from a click id where tags are missing; Facebook's says where from and not that it was paid", async () => {
    const page = (query: string) => ({
      page: `https://www.shop.example/?${query}`,
      referrer: "https://www.google.com/",
    });
    expect(
      await sessionsOf([
        page("gclid=abc"),
        page("a=1&msclkid=abc"),
        page("fbclid=abc"),
        page("a=1&ttclid=abc#top"),
        page("notgclid=abc"),
        page("gclid=abc&utm_source=google&utm_medium=display&utm_campaign=banners"),
        page("gclid=abc&utm_source=google&utm_campaign=brand"),
      ]),
    ).toMatchObject([
      { channel: "Paid Search", source: "google", medium: "cpc" },
      { channel: "Paid Search", source: "bing", medium: "cpc" },
      { channel: "Organic Social", source: "facebook", medium: "social" },
      { channel: "Paid Social", source: "tiktok", medium: "cpc" },
      { channel: "Organic Search", source: "google", medium: "organic" },
      { channel: "Display", source: "google", medium: "display", campaign: "banners" },
      { channel: "Paid Search", source: "google", medium: "cpc", campaign: "brand" },
    ]);
  });

  test("is one of dim_channels, and its campaign one of dim_campaigns", async () => {
    await sessionsOf([
      { source: "google", medium: "cpc", campaign: "brand" },
      { source: "Google", medium: "CPC", campaign: "brand" },
      { source: "x", medium: "y", campaign: "z" },
      {},
    ]);
    expect(await rows("select campaign, channel from mart.dim_campaigns order by 1")).toEqual([
      { campaign: "brand", channel: "Paid Search" },
      { campaign: "z", channel: "Unassigned" },
    ]);
    expect(
      await rows(`select count(*)::int as sessions, count(distinct campaign_id)::int as campaigns, count(channels.channel)::int as channels
                  from mart.fct_sessions left join mart.dim_channels as channels using (channel)`),
    ).toEqual([{ sessions: 4, campaigns: 2, channels: 4 }]);
    expect(await rows("select channel from mart.dim_channels where is_paid order by 1")).toHaveLength(8);
  });

  test("follows a project's own rules", async () => {
    await sessionsOf([{ referrer: "https://www.review-site.example/" }]);
    await database.pool.query(
      "insert into core.channel_rules (position, channel, is_paid, source_pattern) values (1, 'Test magazines', false, '^review-site')",
    );
    await makeModels(database.pool, [
      "core.traffic_sources",
      "mart.dim_channels",
      "mart.dim_campaigns",
      "mart.fct_sessions",
    ]);
    expect(await rows("select channel from mart.fct_sessions")).toEqual([{ channel: "Test magazines" }]);
    expect(await rows("select is_paid from mart.dim_channels where channel = 'Test magazines'")).toEqual([
      { is_paid: false },
    ]);
  });
});

test("a mart without events, orders and spending has its channels and nothing else", async () => {
  await makeModels(database.pool, CHANNEL_MODELS);
  for (const name of ["dim_campaigns", "fct_sessions", "fct_touchpoints", "fct_attribution", "channel_performance"])
    expect(await rows(`select * from mart.${name}`)).toEqual([]);
  expect(await rows("select from mart.dim_channels")).toHaveLength(19);
});

describe("spending on advertising", () => {
  test("goes to the channel that its tags name, or its platform where it has none", async () => {
    const spend = [
      ["google_ads", "google", "cpc", "brand"],
      ["google_ads", null, null, "brand"],
      ["Meta Ads", null, null, null],
      ["youtube_ads", "youtube", "cpv", "tested"],
      ["google_ads", "google", "display", "banners"],
      ["radio", null, null, null],
    ];
    await database.pool.query(
      `insert into core.ad_spend
       select gen_random_uuid(), 'ads', date '2026-01-01' + n::int, platform, campaign, utm_source, utm_medium, 10, ops.currency()
       from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
         as s (platform, utm_source, utm_medium, campaign, n)`,
      [0, 1, 2, 3].map((column) => spend.map((row) => row[column])),
    );
    await makeModels(database.pool, CHANNEL_MODELS);
    expect(
      await rows(
        "select channel, spend::int, revenue::int, roas from mart.channel_performance where model = 'last' order by date",
      ),
    ).toEqual(
      ["Paid Search", "Paid Search", "Paid Social", "Paid Video", "Display", "Paid Other"].map((channel) => ({
        channel,
        spend: 10,
        revenue: 0,
        roas: "0.0000",
      })),
    );
  });
});
