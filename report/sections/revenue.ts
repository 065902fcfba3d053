import { chart, legend, MUTED, RULE, seriesColour } from "../chart.ts";
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
with last_day as (
    select max(order_date) as day
    from mart.fct_orders
    where order_date <= (select (ops.as_of() at time zone ops.time_zone())::date)
),
firsts as (
    select customer_id, date_trunc('month', min(order_date)::timestamp)::date as month
    from mart.fct_orders
    where customer_id <> ops.nobody()
    group by customer_id
),
orders as (
    select
        date_trunc('month', orders.order_date::timestamp)::date as month,
        orders.amount,
        firsts.customer_id,
        firsts.month < date_trunc('month', orders.order_date::timestamp)::date as is_returning
    from mart.fct_orders as orders
    join last_day on orders.order_date <= last_day.day
        and orders.order_date >= date_trunc('month', last_day.day::timestamp) - interval '35 months'
    left join firsts on firsts.customer_id = orders.customer_id
)
select
    month,
    coalesce(sum(amount), 0)::float8 as revenue,
    coalesce(sum(amount) filter (where is_returning is not true), 0)::float8 as from_new,
    coalesce(sum(amount) filter (where is_returning), 0)::float8 as from_returning,
    count(*)::float8 as orders,
    count(distinct customer_id)::float8 as customers
from orders
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
