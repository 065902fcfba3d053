import { ACCENT, chart, dayAxis, dayLine, dayNumber, INK, legend, MUTED, quietScale, seriesColour } from "../chart.ts";
import { figure, groupRows, type Section, type View } from "../figure.ts";
import { html, type Html } from "../html.ts";
import { capital, nameOf } from "../names.ts";

type Segment = {
  segment: string;
  description: string;
  consent: string | null;
  customers: number;
  share: number | null;
};
type Size = { segment: string; day: string; customers: number };

const EMPTY = {
  en: "There is no segment yet. Write one as sql/segments/NAME.sql (select customer_id …, with what it is for on the first line), then start miette run.",
  fr: "Il n’y a pas encore de segment. Écrivez-en un dans sql/segments/NOM.sql (select customer_id …, son but en première ligne), puis lancez miette run.",
};

export const segments: Section = {
  id: "segments",
  title: { en: "Segments", fr: "Segments" },
  lead: {
    en: "Sets of customers that the project has named, their size today, and day by day.",
    fr: "Les ensembles de clients que le projet a nommés, leur taille aujourd’hui et au fil des jours.",
  },
  figures: [
    figure<Segment>({
      id: "today",
      title: { en: "Customers in each segment today", fr: "Clients par segment aujourd’hui" },
      sql: `
select segment, description, consent, customers::float8 as customers, share::float8 as share
from mart.dim_segments
order by customers desc, segment
limit 20`,
      columns: {
        segment: { label: { en: "Segment", fr: "Segment" }, as: "name" },
        description: { label: { en: "What it is for", fr: "À quoi il sert" }, as: "text" },
        consent: { label: { en: "Consent", fr: "Consentement" }, as: "text" },
        customers: { label: { en: "Customers", fr: "Clients" }, as: "count" },
        share: { label: { en: "Share of all", fr: "Part du total" }, as: "share" },
      },
      empty: EMPTY,
      draw: drawToday,
    }),
    figure<Size>({
      id: "over-time",
      title: { en: "Size of the segments over time", fr: "Taille des segments au fil du temps" },
      sql: `
with moves as (
    select segment, (lower(valid) at time zone (select ops.time_zone()))::date as day, count(*) as change
    from mart.fct_segment_memberships
    group by 1, 2
    union all
    select segment, (upper(valid) at time zone (select ops.time_zone()))::date, -count(*)
    from mart.fct_segment_memberships
    where not upper_inf(valid)
    group by 1, 2
),
sizes as (
    select segment, day, sum(sum(change)) over (partition by segment order by day) as customers
    from moves
    group by segment, day
)
select segment, day, customers::float8 as customers
from sizes
where day > (select (ops.as_of() at time zone ops.time_zone())::date) - 366
order by segment, day`,
      columns: {
        segment: { label: { en: "Segment", fr: "Segment" }, as: "name" },
        day: { label: { en: "Day of change", fr: "Jour du changement" }, as: "date" },
        customers: { label: { en: "Customers", fr: "Clients" }, as: "count" },
      },
      empty: EMPTY,
      finding: (rows, { wording }) =>
        new Set(rows.map((row) => row.day)).size > 1
          ? null
          : wording.say({
              en: "Computed on one day so far; every day that miette runs adds to the lines.",
              fr: "Calculés un seul jour pour l’instant ; chaque jour d’exécution prolonge les courbes.",
            }),
      draw: drawSizes,
    }),
  ],
};

function drawToday(rows: Segment[], view: View): Html {
  const { wording } = view;
  const wide = view.width === "wide";
  return chart(view, rows.length * 42 + 8, wording.say(segments.figures[0]!.title), {
    grid: { left: 4, right: wide ? 120 : 96, top: 8, bottom: 0 },
    xAxis: { type: "value", show: false },
    yAxis: { type: "category", inverse: true, show: false, data: rows.map((row) => row.segment) },
    series: [
      {
        type: "bar",
        silent: true,
        barWidth: 10,
        itemStyle: { color: ACCENT },
        data: rows.map((row) => row.customers),
        label: {
          show: true,
          position: "right",
          color: MUTED,
          formatter: ({ dataIndex }) => {
            const { customers, share } = rows[dataIndex]!;
            return share === null ? wording.count(customers) : `${wording.count(customers)} · ${wording.share(share)}`;
          },
        },
      },
      {
        type: "bar",
        silent: true,
        barWidth: 10,
        barGap: "-100%",
        itemStyle: { color: "none" },
        data: rows.map((row) => row.customers),
        label: {
          show: true,
          position: [0, -15],
          color: INK,
          formatter: ({ dataIndex }) => capital(nameOf(rows[dataIndex]!.segment, wording)),
        },
      },
    ],
  });
}

function drawSizes(rows: Size[], view: View): Html {
  const { wording } = view;
  const days = rows.map((row) => row.day);
  if (new Set(days).size === 1) return html``;
  const last = days.reduce((latest, day) => (day > latest ? day : latest));
  const largest = [...groupRows(rows, "segment")]
    .toSorted(([, a], [, b]) => b.at(-1)!.customers - a.at(-1)!.customers)
    .slice(0, 7)
    .map(([segment, sizes], index) => ({
      name: capital(nameOf(segment, wording)),
      sizes,
      colour: seriesColour(index),
    }));
  return html`${legend(largest)}${chart(view, 260, wording.say(segments.figures[1]!.title), {
    grid: { left: 48, right: 40, top: 12, bottom: 28 },
    xAxis: dayAxis(view, days),
    yAxis: quietScale((customers) => wording.shortCount(customers)),
    series: largest.map(({ sizes, colour }) => ({
      step: "end",
      ...dayLine(
        colour,
        // A segment keeps its size until the next change, so up to the last day of all.
        [...sizes, { ...sizes.at(-1)!, day: last }].map((size) => [dayNumber(size.day), size.customers]),
      ),
    })),
  })}`;
}
