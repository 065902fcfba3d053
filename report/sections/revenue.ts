import { chart, legend, monthAxis, MUTED, RULE, seriesColour } from "../chart.ts";
import { figure, type Section, type View } from "../figure.ts";
import { html, type Html } from "../html.ts";

type Month = {
  month: string;
  revenue: number;
  from_new: number;
  from_returning: number;
  orders: number;
  customers: number;
};

export const revenue: Section = {
  id: "revenue",
  title: { en: "Revenue over time", fr: "Chiffre d’affaires" },
  lead: {
    en: "What customers ordered month by month: in the month of their first order, and when they came back.",
    fr: "Les commandes mois par mois : dans le mois du premier achat, puis au retour des clients.",
  },
  figures: [
    figure<Month>({
      id: "by-month",
      title: { en: "Revenue by month", fr: "Chiffre d’affaires par mois" },
      sql: `
with customer_months as (
    select
        date_trunc('month', order_date::timestamp)::date as month,
        nullif(customer_id, ops.nobody()) as customer_id,
        sum(amount) as revenue,
        count(*) as orders
    from mart.fct_orders
    where order_date <= (select (ops.as_of() at time zone ops.time_zone())::date)
    group by 1, 2
),
-- An order of nobody known counts as a new customer's.
months as (
    select *, customer_id is not null and min(month) over (partition by customer_id) < month as is_returning
    from customer_months
)
select
    month,
    coalesce(sum(revenue), 0)::float8 as revenue,
    coalesce(sum(revenue) filter (where not is_returning), 0)::float8 as from_new,
    coalesce(sum(revenue) filter (where is_returning), 0)::float8 as from_returning,
    sum(orders)::float8 as orders,
    count(customer_id)::float8 as customers
from months
where month > (select max(month) from months) - interval '36 months'
group by month
order by month`,
      columns: {
        month: { label: { en: "Month", fr: "Mois" }, as: "month" },
        revenue: { label: { en: "Revenue", fr: "Chiffre d’affaires" }, as: "money" },
        from_new: { label: { en: "From new customers", fr: "Nouveaux clients" }, as: "money" },
        from_returning: { label: { en: "From returning customers", fr: "Clients déjà acheteurs" }, as: "money" },
        orders: { label: { en: "Orders", fr: "Commandes" }, as: "count" },
        customers: { label: { en: "Customers", fr: "Clients" }, as: "count" },
      },
      empty: {
        en: "There are no orders yet. Give a source a staging model with “contract: orders”, then start miette run.",
        fr: "Il n’y a pas encore de commandes. Donnez à une source un modèle de staging avec « contract: orders », puis lancez miette run.",
      },
      finding: (rows, { wording }) => {
        const best = rows.reduce((most, row) => (row.revenue > most.revenue ? row : most));
        const total = rows.reduce((sum, row) => sum + row.revenue, 0);
        return wording.say({
          en: `${wording.money(total)} in ${rows.length} months; the best was ${wording.month(best.month)} with ${wording.money(best.revenue)}.`,
          fr: `${wording.money(total)} en ${rows.length} mois ; le meilleur : ${wording.month(best.month)} avec ${wording.money(best.revenue)}.`,
        });
      },
      draw: drawMonths,
    }),
  ],
};

function drawMonths(rows: Month[], view: View): Html {
  const { wording } = view;
  const parts = [
    {
      name: wording.say({ en: "Returning customers", fr: "Clients déjà acheteurs" }),
      colour: seriesColour(0),
      key: "from_returning",
    },
    { name: wording.say({ en: "New customers", fr: "Nouveaux clients" }), colour: seriesColour(1), key: "from_new" },
  ] as const;
  return html`${legend([...parts])}${chart(
    view,
    view.width === "wide" ? 290 : 240,
    wording.say(revenue.figures[0]!.title),
    {
      grid: { left: 56, right: 8, top: 12, bottom: 40 },
      xAxis: monthAxis(
        view,
        rows.map((row) => row.month),
      ),
      yAxis: {
        type: "value",
        splitNumber: 4,
        splitLine: { lineStyle: { color: RULE } },
        axisLabel: { color: MUTED, formatter: (amount: number) => wording.shortMoney(amount) },
      },
      series: parts.map(({ colour, key }) => ({
        type: "bar",
        stack: "revenue",
        silent: true,
        barMaxWidth: 44,
        barCategoryGap: "28%",
        itemStyle: { color: colour },
        data: rows.map((row) => row[key]),
      })),
    },
  )}`;
}
