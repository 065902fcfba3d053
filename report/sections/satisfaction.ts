import { chart, legend, monthAxis, MUTED, RULE, seriesColour } from "../chart.ts";
import { figure, type Section, type View } from "../figure.ts";
import { html, type Html } from "../html.ts";
import { drivers } from "./drivers.ts";

type Month = {
  month: string;
  reviews: number;
  mean_rating: number | null;
  low_share: number | null;
  mean_sentiment: number | null;
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
    drivers,
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
      xAxis: monthAxis(
        view,
        rows.map((row) => row.month),
      ),
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
