import type { Random } from "./random.ts";

/** Channels by the names of Google's default channel grouping. */
export type Channel =
  | "Direct"
  | "Organic Search"
  | "Paid Search"
  | "Organic Social"
  | "Paid Social"
  | "Organic Video"
  | "Paid Video"
  | "Email"
  | "Referral"
  | "Affiliates"
  | "Display";

/** How a visitor came: what a tag on the shop's pages can see of it. */
export interface Arrival {
  channel: Channel;
  /** Of a paid campaign: its name in the ad platform and in utm_campaign. */
  campaign: Campaign | null;
  referrer: string | null;
  utm: { source: string; medium: string; campaign: string } | null;
  /** A click id that the ad platform adds to the address. */
  clickId: { name: "gclid" | "fbclid" | "msclkid"; value: string } | null;
}

export interface Campaign {
  platform: string;
  name: string;
  channel: Channel;
  source: string;
  medium: string;
  referrer: string | null;
  clickId: "gclid" | "fbclid" | "msclkid" | null;
  /** Days of the year on which it runs, as [from, to) in days since 1 January; a flight may pass the year's end. */
  flights: readonly (readonly [number, number])[];
  /** What a click costs, in cents. */
  cpc: number;
  /** Clicks a day that never show up as visits: no consent for the tag, or gone before it ran. */
  unseenClicks: number;
}

const ALL_YEAR = [[0, 366]] as const;

export const CAMPAIGNS: readonly Campaign[] = [
  {
    platform: "google_ads",
    name: "brand",
    channel: "Paid Search",
    source: "google",
    medium: "cpc",
    referrer: "https://www.google.com/",
    clickId: "gclid",
    flights: ALL_YEAR,
    cpc: 35,
    unseenClicks: 70,
  },
  {
    platform: "google_ads",
    name: "laptops-and-phones",
    channel: "Paid Search",
    source: "google",
    medium: "cpc",
    referrer: "https://www.google.com/",
    clickId: "gclid",
    flights: [
      [60, 190],
      [240, 366],
    ],
    cpc: 95,
    unseenClicks: 110,
  },
  {
    platform: "google_ads",
    name: "home-office-banners",
    channel: "Display",
    source: "google",
    medium: "display",
    referrer: null,
    clickId: "gclid",
    flights: [
      [130, 230],
      [310, 355],
    ],
    cpc: 28,
    unseenClicks: 160,
  },
  {
    platform: "microsoft_ads",
    name: "home-office",
    channel: "Paid Search",
    source: "bing",
    medium: "cpc",
    referrer: "https://www.bing.com/",
    clickId: "msclkid",
    flights: [
      [0, 75],
      [245, 366],
    ],
    cpc: 60,
    unseenClicks: 50,
  },
  {
    platform: "meta",
    name: "new-sound",
    channel: "Paid Social",
    source: "instagram",
    medium: "paid_social",
    referrer: "https://l.instagram.com/",
    clickId: "fbclid",
    flights: [
      [30, 120],
      [140, 260],
      [305, 358],
    ],
    cpc: 55,
    unseenClicks: 140,
  },
  {
    platform: "meta",
    name: "come-back",
    channel: "Paid Social",
    source: "facebook",
    medium: "retargeting",
    referrer: "https://m.facebook.com/",
    clickId: "fbclid",
    flights: [
      [0, 60],
      [170, 366],
    ],
    cpc: 42,
    unseenClicks: 60,
  },
  {
    platform: "youtube_ads",
    name: "tested-in-90-seconds",
    channel: "Paid Video",
    source: "youtube",
    medium: "cpv",
    referrer: "https://www.youtube.com/",
    clickId: "gclid",
    flights: [
      [80, 170],
      [180, 300],
    ],
    cpc: 48,
    unseenClicks: 90,
  },
];

/** Whether a campaign runs on a day (since 1970-01-01). */
export function isRunning(campaign: Campaign, day: number): boolean {
  const date = new Date(day * 86_400_000);
  const dayOfYear = day - Date.UTC(date.getUTCFullYear(), 0, 1) / 86_400_000;
  return campaign.flights.some(([from, to]) => dayOfYear >= from && dayOfYear < to);
}

/** Where unpaid visitors come from; hosts as browsers send them. The review sites are made up. */
const REFERRERS: Partial<Record<Channel, readonly (readonly [string, number])[]>> = {
  "Organic Search": [
    ["https://www.google.com/", 70],
    ["https://www.bing.com/", 12],
    ["https://duckduckgo.com/", 9],
    ["https://www.qwant.com/", 6],
    ["https://www.ecosia.org/", 3],
  ],
  "Organic Social": [
    ["https://l.instagram.com/", 40],
    ["https://www.tiktok.com/", 20],
    ["https://m.facebook.com/", 18],
    ["https://www.reddit.com/", 14],
    ["https://www.pinterest.fr/", 8],
  ],
  "Organic Video": [
    ["https://www.youtube.com/", 80],
    ["https://www.dailymotion.com/", 12],
    ["https://vimeo.com/", 8],
  ],
  Referral: [
    ["https://www.banc-essai.example/", 40],
    ["https://gadget-review.example/", 40],
    ["https://kaufberater.example/", 20],
  ],
};

/** What takes a paid channel's place on days on which none of its campaigns runs. */
const UNPAID: Partial<Record<Channel, Channel>> = {
  "Paid Social": "Organic Social",
  "Paid Video": "Organic Video",
  Display: "Organic Search",
};

/** Makes one arrival by a channel on a day; a paid channel without a running campaign becomes its unpaid sister. */
export function arrive(channel: Channel, day: number, random: Random): Arrival {
  const running = CAMPAIGNS.filter((campaign) => campaign.channel === channel && isRunning(campaign, day));
  if (running.length > 0) return arriveByCampaign(random.pick(running), random);
  const unpaid = UNPAID[channel] ?? channel;
  const referrers = REFERRERS[unpaid];
  return {
    channel: unpaid,
    campaign: null,
    referrer: referrers ? random.weighted(referrers) : null,
    utm: tags(unpaid, day, random),
    clickId: null,
  };
}

function tags(channel: Channel, day: number, random: Random): Arrival["utm"] {
  if (channel === "Email")
    return {
      source: "newsletter",
      medium: "email",
      campaign: `week-${String((Math.floor(day / 7) % 52) + 1).padStart(2, "0")}`,
    };
  if (channel === "Affiliates")
    return { source: random.pick(["bonplan", "dealfuchs"]), medium: "affiliate", campaign: "partners" };
  return null;
}

/** One click in thirty carries the platform's click id alone, as where somebody forgot the tags. */
function arriveByCampaign(campaign: Campaign, random: Random): Arrival {
  const clickId = campaign.clickId ? { name: campaign.clickId, value: random.hex(24) } : null;
  const isUntagged = clickId?.name === "gclid" && campaign.channel === "Paid Search" && random.chance(1 / 30);
  return {
    channel: campaign.channel,
    campaign,
    referrer: campaign.referrer,
    utm: isUntagged ? null : { source: campaign.source, medium: campaign.medium, campaign: campaign.name },
    clickId,
  };
}

type Mix = readonly (readonly [Channel, number])[];

/** What begins the way to a first order, and what brings strangers who do not buy. */
export const DISCOVERY: Mix = [
  ["Paid Social", 19],
  ["Organic Social", 17],
  ["Organic Search", 18],
  ["Paid Search", 14],
  ["Organic Video", 9],
  ["Referral", 9],
  ["Paid Video", 5],
  ["Direct", 4],
  ["Affiliates", 3],
  ["Display", 2],
];
/** What begins the way to a further order. */
export const RETURN: Mix = [
  ["Email", 30],
  ["Direct", 20],
  ["Organic Search", 17],
  ["Paid Search", 9],
  ["Paid Social", 7],
  ["Organic Social", 6],
  ["Organic Video", 5],
  ["Referral", 4],
  ["Affiliates", 2],
];
/** Between the beginning and the order: people compare. */
export const COMPARISON: Mix = [
  ["Referral", 26],
  ["Organic Video", 22],
  ["Organic Search", 20],
  ["Direct", 10],
  ["Paid Social", 9],
  ["Email", 8],
  ["Paid Search", 5],
];
/** The visit that ends in the order, where it is not the first. */
export const DECISION: Mix = [
  ["Organic Search", 30],
  ["Direct", 26],
  ["Paid Search", 19],
  ["Email", 13],
  ["Affiliates", 5],
  ["Referral", 4],
  ["Paid Social", 3],
];
