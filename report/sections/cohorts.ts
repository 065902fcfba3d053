import { figure, groupRows, type Section, type View } from "../figure.ts";
import { heatMap } from "../heat-map.ts";
import type { Html } from "../html.ts";

type CohortMonth = {
  cohort_month: string;
  month_number: number;
  customers: number;
  active_customers: number;
  retention: number;
  revenue: number;
};

export const cohorts: Section = {
  id: "cohorts",
  title: { en: "Do they come back", fr: "Reviennent-ils" },
  lead: {
    en: "Of the customers who first ordered in a month: the share that ordered again one, two, three … months later. Only months that are over.",
    fr: "Parmi les clients d’un même mois de premier achat : la part qui a commandé de nouveau un, deux, trois… mois plus tard. Mois révolus seulement.",
  },
  figures: [
    figure<CohortMonth>({
      id: "retention",
      title: { en: "Retention by month of the first order", fr: "Rétention par mois de premier achat" },
      sql: `
with latest as (
    select cohort_month
    from mart.customer_cohorts
    where month_number = 1 and cohort_month + interval '2 months' <= (select ops.as_of() at time zone ops.time_zone())
    order by cohort_month desc
    limit 13
)
select
    cohorts.cohort_month,
    cohorts.month_number,
    cohorts.customers::float8 as customers,
    cohorts.active_customers::float8 as active_customers,
    cohorts.retention::float8 as retention,
    cohorts.revenue::float8 as revenue
from mart.customer_cohorts as cohorts
join latest on latest.cohort_month = cohorts.cohort_month
where cohorts.month_number between 1 and 12
    and cohorts.cohort_month + make_interval(months => cohorts.month_number + 1) <= (select ops.as_of() at time zone ops.time_zone())
order by cohorts.cohort_month, cohorts.month_number`,
      columns: {
        cohort_month: { label: { en: "First order", fr: "Premier achat" }, as: "month" },
        month_number: { label: { en: "Months later", fr: "Mois plus tard" }, as: "count" },
        customers: { label: { en: "Customers", fr: "Clients" }, as: "count" },
        active_customers: { label: { en: "Ordered again", fr: "De retour" }, as: "count" },
        retention: { label: { en: "Retention", fr: "Rétention" }, as: "share" },
        revenue: { label: { en: "Revenue", fr: "Chiffre d’affaires" }, as: "money" },
      },
      empty: {
        en: "No cohort is two months old yet. Land older orders with miette sync SOURCE --full, or wait.",
        fr: "Aucune cohorte n’a encore deux mois. Chargez des commandes plus anciennes avec miette sync SOURCE --full, ou patientez.",
      },
      finding: (rows, { wording }) => {
        const first = rows.filter((row) => row.month_number === 1);
        const customers = first.reduce((sum, row) => sum + row.customers, 0);
        const back = first.reduce((sum, row) => sum + row.active_customers, 0);
        return wording.say({
          en: `${wording.share(back / customers)} of the customers shown ordered again in the month after their first order.`,
          fr: `${wording.share(back / customers)} de ces clients ont commandé de nouveau dès le mois suivant leur premier achat.`,
        });
      },
      draw: drawRetention,
    }),
  ],
};

function drawRetention(rows: CohortMonth[], view: View): Html {
  const { wording } = view;
  const wide = view.width === "wide";
  const byCohort = [...groupRows(rows, "cohort_month")];
  const months = Math.max(...rows.map((row) => row.month_number));
  const most = Math.max(...rows.map((row) => row.retention)) || 1;
  return heatMap(view, wording.say(cohorts.figures[0]!.title), {
    x: Array.from({ length: months }, (_, index) => String(index + 1)),
    y: byCohort.map(([month, [first]]) => `${wording.month(month)} · ${wording.shortCount(first!.customers)}`),
    xName: wording.say({ en: "months after the first order", fr: "mois après le premier achat" }),
    left: wide ? 118 : 96,
    rowHeight: wide ? 30 : 26,
    cells: rows.map((row) => ({
      x: row.month_number - 1,
      y: byCohort.findIndex(([month]) => month === row.cohort_month),
      strength: row.retention / most,
      text: wide ? wording.share(row.retention, 0) : wording.count(100 * row.retention),
    })),
  });
}
