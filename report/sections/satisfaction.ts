import { BAD, chart, GOOD, INK, legend, MUTED, PAPER, RULE, seriesColour, shorten, textStyle } from "../chart.ts";
import { figure, type Section, type View } from "../figure.ts";
import { html, type Html } from "../html.ts";
import { capital, nameOf } from "../names.ts";
import type { Wording } from "../language.ts";

type Month = {
  month: string;
  reviews: number;
  mean_rating: number | null;
  low_share: number | null;
  mean_sentiment: number | null;
};
type Driver = {
  driver: string;
  value: string;
  label: string;
  difference: number;
  ci_low: number;
  ci_high: number;
  mean_with: number;
  mean_without: number;
  reviews_with: number;
  reviews_without: number;
};

const EMPTY = {
  en: "There are no reviews yet. Give a source a staging model with “contract: reviews”, then start miette run.",
  fr: "Il n’y a pas encore d’avis. Donnez à une source un modèle de staging avec « contract: reviews », puis lancez miette run.",
};

export const satisfaction: Section = {
  id: "satisfaction",
  title: { en: "Are they satisfied", fr: "Sont-ils satisfaits" },
  lead: {
    en: "What the stars say month by month, and what goes with better or worse ones. A month or a driver with fewer than five reviews is left out.",
    fr: "Ce que disent les étoiles mois par mois, et ce qui va de pair avec de meilleures ou de moins bonnes. Moins de cinq avis : rien n’est montré.",
  },
  figures: [
    figure<Month>({
      id: "by-month",
      title: { en: "Mean rating, and share of one and two stars", fr: "Note moyenne, et part d’une et deux étoiles" },
      sql: `
select
    month,
    reviews::float8 as reviews,
    mean_rating::float8 as mean_rating,
    low_share::float8 as low_share,
    mean_sentiment::float8 as mean_sentiment
from mart.satisfaction
where dimension = 'all'
    and month > (select max(month) from mart.satisfaction) - interval '36 months'
order by month`,
      columns: {
        month: { label: { en: "Month", fr: "Mois" }, as: "month" },
        reviews: { label: { en: "Reviews", fr: "Avis" }, as: "count" },
        mean_rating: { label: { en: "Mean rating", fr: "Note moyenne" }, as: "decimal" },
        low_share: { label: { en: "1 and 2 stars", fr: "1 et 2 étoiles" }, as: "share" },
        mean_sentiment: {
          label: { en: "Mood of the texts (−1 to 1)", fr: "Tonalité des textes (−1 à 1)" },
          as: "decimal",
        },
      },
      empty: EMPTY,
      finding: (rows, { wording }) => {
        const rated = rows.filter((row) => row.mean_rating !== null);
        if (rated.length < 2) return null;
        const worst = rated.reduce((least, row) => (row.mean_rating! < least.mean_rating! ? row : least));
        return wording.say({
          en: `The lowest month was ${wording.month(worst.month)}: ${wording.decimal(worst.mean_rating!)} of 5 in ${wording.count(worst.reviews)} reviews.`,
          fr: `Le mois le plus bas : ${wording.month(worst.month)}, ${wording.decimal(worst.mean_rating!)} sur 5 pour ${wording.count(worst.reviews)} avis.`,
        });
      },
      draw: drawMonths,
    }),
    figure<Driver>({
      id: "drivers",
      title: {
        en: "Drivers: difference of the mean rating, with its 95% interval",
        fr: "Facteurs : écart de la note moyenne, avec son intervalle à 95 %",
      },
      sql: `
select
    driver,
    value,
    label,
    difference::float8 as difference,
    ci_low::float8 as ci_low,
    ci_high::float8 as ci_high,
    mean_with::float8 as mean_with,
    mean_without::float8 as mean_without,
    reviews_with::float8 as reviews_with,
    reviews_without::float8 as reviews_without
from mart.satisfaction_drivers
order by rank
limit 12`,
      columns: {
        driver: { label: { en: "Driver", fr: "Facteur" }, as: "name" },
        value: { label: { en: "Value", fr: "Valeur" }, as: "text" },
        label: { label: { en: "Name", fr: "Nom" }, as: "text" },
        difference: { label: { en: "Difference", fr: "Écart" }, as: "signed" },
        ci_low: { label: { en: "From", fr: "De" }, as: "signed" },
        ci_high: { label: { en: "To", fr: "À" }, as: "signed" },
        mean_with: { label: { en: "Mean with", fr: "Moyenne avec" }, as: "decimal" },
        mean_without: { label: { en: "Mean without", fr: "Moyenne sans" }, as: "decimal" },
        reviews_with: { label: { en: "Reviews with", fr: "Avis avec" }, as: "count" },
        reviews_without: { label: { en: "Reviews without", fr: "Avis sans" }, as: "count" },
      },
      empty: {
        en: "No driver has five reviews with it and five without yet. Bring more reviews (“contract: reviews”), then start miette run.",
        fr: "Aucun facteur n’a encore cinq avis avec et cinq sans. Apportez plus d’avis (« contract: reviews »), puis lancez miette run.",
      },
      finding: (rows, { wording }) => {
        const sure = rows.filter((row) => row.ci_low > 0 || row.ci_high < 0);
        const first = sure[0];
        return first
          ? wording.say({
              en: `Surest: ${driverName(first, wording)}, ${wording.signed(first.difference)} stars.`,
              fr: `Le plus sûr : ${driverName(first, wording)}, ${wording.signed(first.difference)} étoile.`,
            })
          : wording.say({ en: "No difference is beyond chance.", fr: "Aucun écart ne dépasse le hasard." });
      },
      draw: drawDrivers,
    }),
  ],
};

function drawMonths(rows: Month[], view: View): Html {
  const { wording } = view;
  const low = {
    name: wording.say({ en: "1 and 2 stars, right scale", fr: "1 et 2 étoiles, échelle de droite" }),
    colour: seriesColour(1),
  };
  const mean = { name: wording.say({ en: "Mean rating", fr: "Note moyenne" }), colour: seriesColour(0) };
  return html`${legend([mean, low])}${chart(
    view,
    view.width === "wide" ? 270 : 230,
    wording.say(satisfaction.figures[0]!.title),
    {
      grid: { left: 28, right: 48, top: 12, bottom: 40 },
      xAxis: {
        type: "category",
        data: rows.map((row) => row.month),
        axisTick: { show: false },
        axisLine: { lineStyle: { color: RULE } },
        axisLabel: {
          color: MUTED,
          lineHeight: 14,
          hideOverlap: true,
          formatter: (month: string, index: number) => wording.shortMonth(month, index === 0),
        },
      },
      yAxis: [
        {
          type: "value",
          min: 1,
          max: 5,
          interval: 1,
          splitLine: { lineStyle: { color: RULE } },
          axisLabel: { color: MUTED },
        },
        {
          type: "value",
          min: 0,
          max: 1,
          interval: 0.25,
          splitLine: { show: false },
          axisLabel: { color: MUTED, formatter: (share: number) => wording.share(share, 0) },
        },
      ],
      series: [
        {
          type: "bar",
          yAxisIndex: 1,
          silent: true,
          barMaxWidth: 28,
          itemStyle: { color: low.colour },
          data: rows.map((row) => row.low_share),
        },
        {
          type: "line",
          silent: true,
          clip: false,
          symbol: "circle",
          symbolSize: 6,
          lineStyle: { width: 2.5, color: mean.colour },
          itemStyle: { color: mean.colour },
          data: rows.map((row) => row.mean_rating),
        },
      ],
    },
  )}`;
}

function driverName({ driver, value, label }: Driver, wording: Wording): string {
  const name =
    driver === "month"
      ? wording.month(value)
      : driver === "delivery_days"
        ? value
        : driver === "channel" || driver === "price"
          ? nameOf(label, wording)
          : label;
  return `${capital(nameOf(driver, wording))}${wording.language === "fr" ? " : " : ": "}${name}`;
}

/** A dot and its interval per driver, its name beside it or, on a phone, above; what does not cross zero is in colour. */
function drawDrivers(rows: Driver[], view: View): Html {
  const { wording } = view;
  const wide = view.width === "wide";
  const colour = (row: Driver) => (row.ci_high < 0 ? BAD : row.ci_low > 0 ? GOOD : MUTED);
  const most = Math.max(0.1, ...rows.flatMap((row) => [Math.abs(row.ci_low), Math.abs(row.ci_high)])) * 1.05;
  const font = textStyle(view);
  return chart(view, rows.length * (wide ? 30 : 40) + 40, wording.say(satisfaction.figures[1]!.title), {
    grid: { left: wide ? 260 : 8, right: 12, top: 8, bottom: 28 },
    xAxis: {
      type: "value",
      min: -most,
      max: most,
      splitNumber: 4,
      splitLine: { showMinLine: false, showMaxLine: false, lineStyle: { color: RULE } },
      axisLabel: {
        color: MUTED,
        showMinLabel: false,
        showMaxLabel: false,
        formatter: (difference: number) => wording.signed(difference, 1),
      },
    },
    yAxis: {
      type: "category",
      inverse: true,
      show: wide,
      data: rows.map((row) => shorten(driverName(row, wording), 36)),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: INK, interval: 0 },
    },
    series: [
      {
        type: "line",
        silent: true,
        data: [],
        markLine: {
          silent: true,
          symbol: "none",
          label: { show: false },
          lineStyle: { color: INK, type: "solid", width: 1 },
          data: [{ xAxis: 0 }],
        },
      },
      {
        type: "custom",
        silent: true,
        data: rows.map((row, index) => [row.difference, index, row.ci_low, row.ci_high]),
        renderItem: (_, api) => {
          const index = Number(api.value(1));
          const row = rows[index]!;
          const [x = 0, middle = 0] = api.coord([row.difference, index]);
          const [low = 0] = api.coord([row.ci_low, index]);
          const [high = 0] = api.coord([row.ci_high, index]);
          const y = wide ? middle : middle + 8;
          const style = { stroke: colour(row), lineWidth: 2, fill: "none" };
          const line = (x1: number, y1: number, x2: number, y2: number) => ({
            type: "line" as const,
            shape: { x1, y1, x2, y2 },
            style,
          });
          const name = {
            type: "text" as const,
            style: {
              ...font,
              text: shorten(driverName(row, wording), 46),
              x: 8,
              y: middle - 12,
              fill: INK,
              // Lines of the grid pass behind the name.
              stroke: PAPER,
              lineWidth: 4,
              textVerticalAlign: "middle" as const,
            },
          };
          return {
            type: "group",
            children: [
              line(low, y, high, y),
              line(low, y - 4, low, y + 4),
              line(high, y - 4, high, y + 4),
              { type: "circle", shape: { cx: x, cy: y, r: 5 }, style: { fill: colour(row) } },
              ...(wide ? [] : [name]),
            ],
          };
        },
      },
    ],
  });
}
