import { chart, INK, legend, MUTED, seriesColour } from "../chart.ts";
import { figure, type Section, type View } from "../figure.ts";
import { heatMap } from "../heat-map.ts";
import { html, type Html } from "../html.ts";
import { capital, nameOf } from "../names.ts";

type Cell = { recency_score: number; frequency_score: number; customers: number; mean_monetary: number };
type RfmSegment = {
  rfm_segment: string;
  customers: number;
  customer_share: number;
  monetary: number;
  monetary_share: number | null;
};

const EMPTY = {
  en: "There is no customer with an order yet. Give a source a staging model with “contract: orders” that names its customers, then start miette run.",
  fr: "Aucun client n’a encore commandé. Donnez à une source un modèle de staging avec « contract: orders » qui nomme ses clients, puis lancez miette run.",
};

const SCORES = [1, 2, 3, 4, 5];

export const rfm: Section = {
  id: "rfm",
  title: { en: "Who the customers are", fr: "Qui sont les clients" },
  lead: {
    en: "Customers by recency and frequency of their orders. Each score goes from 1 to 5; fifths of the customers, equal values in the same one.",
    fr: "Les clients selon la récence et la fréquence de leurs commandes. Chaque note va de 1 à 5 : des cinquièmes de la clientèle, les valeurs égales dans le même.",
  },
  figures: [
    figure<Cell>({
      id: "map",
      title: { en: "RFM map: customers by recency and frequency", fr: "Carte RFM : clients par récence et fréquence" },
      sql: `
select
    recency_score,
    frequency_score,
    count(*)::float8 as customers,
    avg(monetary)::float8 as mean_monetary
from mart.customer_metrics
group by recency_score, frequency_score
order by recency_score desc, frequency_score desc`,
      columns: {
        recency_score: { label: { en: "Recency", fr: "Récence" }, as: "count" },
        frequency_score: { label: { en: "Frequency", fr: "Fréquence" }, as: "count" },
        customers: { label: { en: "Customers", fr: "Clients" }, as: "count" },
        mean_monetary: { label: { en: "Mean monetary value", fr: "Valeur moyenne" }, as: "money" },
      },
      empty: EMPTY,
      draw: drawMap,
    }),
    figure<RfmSegment>({
      id: "segments",
      title: {
        en: "Share of customers and of revenue by RFM segment",
        fr: "Part des clients et du chiffre d’affaires par segment RFM",
      },
      sql: `
select
    rfm_segment,
    count(*)::float8 as customers,
    (count(*) / sum(count(*)) over ())::float8 as customer_share,
    sum(monetary)::float8 as monetary,
    (sum(monetary) / nullif(sum(sum(monetary)) over (), 0))::float8 as monetary_share
from mart.customer_metrics
group by rfm_segment
order by monetary desc, rfm_segment`,
      columns: {
        rfm_segment: { label: { en: "Segment", fr: "Segment" }, as: "name" },
        customers: { label: { en: "Customers", fr: "Clients" }, as: "count" },
        customer_share: { label: { en: "Share of customers", fr: "Part des clients" }, as: "share" },
        monetary: { label: { en: "Revenue", fr: "Chiffre d’affaires" }, as: "money" },
        monetary_share: { label: { en: "Share of revenue", fr: "Part du chiffre d’affaires" }, as: "share" },
      },
      empty: EMPTY,
      finding: ([top], { wording }) =>
        top && top.monetary_share !== null
          ? wording.say({
              en: `${capital(nameOf(top.rfm_segment, wording))}: ${wording.share(top.customer_share, 0)} of the customers, ${wording.share(top.monetary_share, 0)} of the revenue.`,
              fr: `${capital(nameOf(top.rfm_segment, wording))} : ${wording.share(top.customer_share, 0)} des clients, ${wording.share(top.monetary_share, 0)} du chiffre d’affaires.`,
            })
          : null,
      draw: drawSegments,
    }),
  ],
};

function drawMap(rows: Cell[], view: View): Html {
  const { wording } = view;
  const wide = view.width === "wide";
  const most = Math.max(...rows.map((row) => row.customers));
  const byRecency = SCORES.toReversed();
  return heatMap(view, wording.say(rfm.figures[0]!.title), {
    x: SCORES.map(String),
    y: byRecency.map(String),
    xName: wording.say({ en: "frequency: few orders to many →", fr: "fréquence : peu de commandes à beaucoup →" }),
    yName: wording.say({ en: "recency: long ago to lately →", fr: "récence : ancienne à récente →" }),
    left: 48,
    rowHeight: wide ? 54 : 46,
    cells: byRecency.flatMap((recency, y) =>
      SCORES.map((frequency, x) => {
        const row = rows.find((each) => each.recency_score === recency && each.frequency_score === frequency);
        if (!row) return { x, y, strength: 0, text: "" };
        const customers = wording.count(row.customers);
        // Cells differ by orders of magnitude; the root keeps the small ones apart.
        const strength = Math.sqrt(row.customers / most);
        return { x, y, strength, text: wide ? `${customers}\n${wording.shortMoney(row.mean_monetary)}` : customers };
      }),
    ),
  });
}

function drawSegments(rows: RfmSegment[], view: View): Html {
  const { wording } = view;
  const parts = [
    { name: wording.say({ en: "Customers", fr: "Clients" }), colour: seriesColour(1), key: "customer_share" },
    { name: wording.say({ en: "Revenue", fr: "Chiffre d’affaires" }), colour: seriesColour(0), key: "monetary_share" },
  ] as const;
  return html`${legend([...parts])}${chart(view, rows.length * 34 + 8, wording.say(rfm.figures[1]!.title), {
    grid: { left: view.width === "wide" ? 150 : 124, right: 44, top: 4, bottom: 4 },
    xAxis: { type: "value", show: false },
    yAxis: {
      type: "category",
      inverse: true,
      data: rows.map((row) => capital(nameOf(row.rfm_segment, wording))),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: INK },
    },
    series: parts.map(({ colour, key }) => ({
      type: "bar",
      silent: true,
      barMaxWidth: 9,
      barGap: "20%",
      itemStyle: { color: colour },
      label: {
        show: true,
        position: "right",
        color: MUTED,
        fontSize: 10,
        formatter: ({ value }) => wording.share(Number(value), 0),
      },
      data: rows.map((row) => row[key] ?? 0),
    })),
  })}`;
}
