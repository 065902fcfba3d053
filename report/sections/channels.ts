import { chart, INK, MUTED, PAPER, seriesColour, shorten } from "../chart.ts";
import { figure, type Section, type View } from "../figure.ts";
import type { Html } from "../html.ts";
import type { Wording } from "../language.ts";
import { nameOf } from "../names.ts";

type Channel = {
  model: string;
  channel: string;
  revenue: number;
  revenue_share: number | null;
  orders: number;
  sessions: number;
  spend: number;
  roas: number | null;
};

/** More bars than this are hard to read; the table has them all. */
const MOST_BARS = 12;
const MOST_SLICES = 6;

export const channels: Section = {
  id: "channels",
  title: { en: "Channels", fr: "Canaux" },
  lead: {
    en: "Which channels the orders of the last year are owed to. A model decides how an order is shared out among the visits of the 30 days before it.",
    fr: "À quels canaux on doit les commandes de l’année. Un modèle décide comment une commande est répartie entre les visites des 30 jours qui la précèdent.",
  },
  figures: [
    figure<Channel>({
      id: "by-model",
      title: { en: "Attributed revenue by channel", fr: "Chiffre d’affaires attribué par canal" },
      sql: `
with last_day as (
    select max(date) as day
    from mart.channel_performance
    where date <= (select (ops.as_of() at time zone ops.time_zone())::date)
),
channels as (
    select
        model,
        channel,
        coalesce(sum(revenue), 0) as revenue,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(sessions), 0) as sessions,
        coalesce(sum(spend), 0) as spend
    from mart.channel_performance
    join last_day on date > last_day.day - 365 and date <= last_day.day
    group by model, channel
)
select
    model,
    channel,
    revenue::float8 as revenue,
    (revenue / nullif(sum(revenue) over (partition by model), 0))::float8 as revenue_share,
    orders::float8 as orders,
    sessions::float8 as sessions,
    spend::float8 as spend,
    (revenue / nullif(spend, 0))::float8 as roas
from channels
order by model, revenue desc, channel`,
      columns: {
        model: { label: { en: "Model", fr: "Modèle" }, as: "text" },
        channel: { label: { en: "Channel", fr: "Canal" }, as: "name" },
        revenue: { label: { en: "Revenue", fr: "Chiffre d’affaires" }, as: "money" },
        revenue_share: { label: { en: "Share", fr: "Part" }, as: "share" },
        orders: { label: { en: "Orders", fr: "Commandes" }, as: "figure" },
        sessions: { label: { en: "Sessions", fr: "Sessions" }, as: "count" },
        spend: { label: { en: "Spend", fr: "Dépenses" }, as: "money" },
        roas: { label: { en: "Revenue per unit spent", fr: "Revenu par unité dépensée" }, as: "decimal" },
      },
      empty: {
        en: "No order could be led back to a channel yet. Bring web events (“contract: events”) and orders (“contract: orders”), then start miette run.",
        fr: "Aucune commande n’a encore pu être reliée à un canal. Apportez des événements web (« contract: events ») et des commandes (« contract: orders »), puis lancez miette run.",
      },
      choice: {
        column: "model",
        label: { en: "Attribution model", fr: "Modèle d’attribution" },
        options: [
          { value: "last_non_direct", label: { en: "Last non-direct", fr: "Dernier non direct" } },
          { value: "first", label: { en: "First", fr: "Premier" } },
          { value: "last", label: { en: "Last", fr: "Dernier" } },
          { value: "linear", label: { en: "Linear", fr: "Linéaire" } },
          { value: "position_based", label: { en: "Position-based", fr: "Selon la position" } },
          { value: "time_decay", label: { en: "Time decay", fr: "Décroissance" } },
        ],
      },
      finding: (rows, { wording }) =>
        rows.some((row) => row.roas !== null)
          ? wording.say({
              en: "Where there was advertising, × says how much revenue came per unit spent.",
              fr: "Là où il y a eu de la publicité, × donne le chiffre d’affaires par unité dépensée.",
            })
          : null,
      draw: drawChannels,
    }),
  ],
};

/** Bars and a ring beside them, or beneath on a phone. A channel keeps its colour from model to model. */
function drawChannels(rows: Channel[], view: View, all: Channel[]): Html {
  const { wording, width } = view;
  const colours = coloursByChannel(all);
  const bars = rows.filter((row) => row.revenue > 0 || row.spend > 0).slice(0, MOST_BARS);
  const slices = rows.filter((row) => row.revenue > 0);
  const rest = slices.slice(MOST_SLICES);
  const colourOf = (channel: string) => colours.get(channel) ?? seriesColour(7);
  const shown = slices.slice(0, MOST_SLICES).map((row) => ({
    name: nameOf(row.channel, wording),
    value: row.revenue,
    itemStyle: { color: colourOf(row.channel) },
  }));
  if (rest.length > 0) {
    const value = rest.reduce((sum, row) => sum + row.revenue, 0);
    shown.push({ name: wording.say({ en: "Others", fr: "Autres" }), value, itemStyle: { color: seriesColour(7) } });
  }
  const barsHeight = bars.length * 28 + 16;
  const height = width === "wide" ? Math.max(barsHeight, 280) : barsHeight + 250;
  const total = slices.reduce((sum, row) => sum + row.revenue, 0);
  return chart(view, height, wording.say(channels.figures[0]!.title), {
    grid:
      width === "wide"
        ? { left: 168, right: 400, top: 8, height: barsHeight - 16 }
        : { left: 130, right: 96, top: 8, height: barsHeight - 16 },
    xAxis: { type: "value", show: false },
    yAxis: {
      type: "category",
      inverse: true,
      data: bars.map((row) => shorten(nameOf(row.channel, wording), width === "wide" ? 24 : 18)),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: INK },
    },
    series: [
      {
        type: "bar",
        silent: true,
        barMaxWidth: 16,
        data: bars.map((row) => ({ value: row.revenue, itemStyle: { color: colourOf(row.channel) } })),
        label: {
          show: true,
          position: "right",
          color: MUTED,
          formatter: ({ dataIndex }) => barLabel(bars[dataIndex]!, wording),
        },
      },
      {
        type: "pie",
        silent: true,
        center: width === "wide" ? [592, height / 2] : [180, barsHeight + 124],
        radius: width === "wide" ? [50, 82] : [46, 74],
        startAngle: 90,
        itemStyle: { borderColor: PAPER, borderWidth: 2 },
        data: shown,
        label: {
          color: INK,
          fontSize: 11,
          lineHeight: 14,
          formatter: ({ name, value }) => onTwoLines(`${shorten(name, 26)} ${wording.share(Number(value) / total, 0)}`),
        },
        labelLine: { length: 8, length2: 6, lineStyle: { color: MUTED } },
      },
    ],
  });
}

/** What a channel brought, and per unit of advertising where there was any. */
function barLabel({ revenue, roas }: Channel, wording: Wording): string {
  return roas === null ? wording.shortMoney(revenue) : `${wording.shortMoney(revenue)} · ${wording.decimal(roas, 1)}×`;
}

/** Broken at the space that is nearest to the middle. */
function onTwoLines(text: string): string {
  const middle = text.length / 2;
  const spaces = [...text.matchAll(/ /g)].map(({ index }) => index);
  const [nearest] = spaces.toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
  return nearest === undefined ? text : `${text.slice(0, nearest)}\n${text.slice(nearest + 1)}`;
}

function coloursByChannel(all: Channel[]): Map<string, string> {
  const revenue = new Map<string, number>();
  for (const row of all) revenue.set(row.channel, (revenue.get(row.channel) ?? 0) + row.revenue);
  const ordered = [...revenue].toSorted(([, a], [, b]) => b - a);
  return new Map(ordered.map(([channel], index) => [channel, seriesColour(index)]));
}
