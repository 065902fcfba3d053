import { formatDay, formatInstant, parisDay, parisInstant } from "./calendar.ts";
import { CAMPAIGNS, isRunning, type Campaign } from "./channels.ts";
import type { Random } from "./random.ts";
import type { Visit } from "./visits.ts";

/** A line of the ad platforms' daily report. */
export interface AdSpend {
  date: string;
  platform: string;
  campaign: string;
  utm_source: string;
  utm_medium: string;
  impressions: number;
  clicks: number;
  cost: string;
  currency: "EUR";
  /** When the platform last restated the line. */
  reported_at: string;
}

/** One line per running campaign and day from `from` to before `to`. Every visit that it brought is a click, and most clicks are none of these. */
export function makeAdSpend(
  visits: Visit[],
  { from, to, random }: { from: number; to: number; random: Random },
): AdSpend[] {
  const brought = new Map<string, number>();
  const keyOf = (day: number, campaign: Campaign) => `${day} ${campaign.name}`;
  for (const { start, arrival } of visits) {
    if (!arrival.campaign) continue;
    const key = keyOf(parisDay(start), arrival.campaign);
    brought.set(key, (brought.get(key) ?? 0) + 1);
  }
  const rows: AdSpend[] = [];
  for (let day = from; day < to; day++) {
    for (const campaign of CAMPAIGNS) {
      if (!isRunning(campaign, day)) continue;
      const clicks =
        (brought.get(keyOf(day, campaign)) ?? 0) * 2 + Math.round(campaign.unseenClicks * random.between(0.5, 1.5));
      rows.push({
        date: formatDay(day),
        platform: campaign.platform,
        campaign: campaign.name,
        utm_source: campaign.source,
        utm_medium: campaign.medium,
        impressions: Math.round(clicks / random.between(0.008, 0.05)),
        clicks,
        cost: (Math.round(clicks * campaign.cpc * random.between(0.85, 1.15)) / 100).toFixed(2),
        currency: "EUR",
        reported_at: formatInstant(parisInstant(day + 1, 4 * 3600)),
      });
    }
  }
  return rows;
}
