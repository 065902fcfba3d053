import { figure, type Section } from "../figure.ts";
import { html } from "../html.ts";
import type { Wording } from "../language.ts";
import { capital, nameOf } from "../names.ts";

type Tile = { measure: string; recent: number | null; before: number | null };

/** The figures that a board asks for first. */
export const glance: Section = {
  id: "glance",
  title: { en: "At a glance", fr: "En bref" },
  lead: {
    en: "The 90 days up to the last order, beside the 90 days before.",
    fr: "Les 90 jours jusqu’à la dernière commande, à côté des 90 jours précédents.",
  },
  figures: [
    figure<Tile>({
      id: "measures",
      title: { en: "The last 90 days", fr: "Les 90 derniers jours" },
      sql: `
with span as (
    select min(order_date) as first_day, max(order_date) as last_day
    from mart.fct_orders
    where order_date <= (select (ops.as_of() at time zone ops.time_zone())::date)
),
-- A period counts as the one before only where the orders reach back to its first day.
days as (
    select last_day - 89 as recent_from, last_day - 179 as before_from, last_day, first_day <= last_day - 179 as has_before
    from span
),
firsts as (
    select customer_id, min(order_date) as first_date
    from mart.fct_orders
    where customer_id <> ops.nobody()
    group by customer_id
),
orders as (
    select
        orders.order_date >= (select recent_from from days) as is_recent,
        orders.amount,
        firsts.customer_id,
        firsts.first_date < orders.order_date as is_repeat
    from mart.fct_orders as orders
    left join firsts on firsts.customer_id = orders.customer_id
    where orders.order_date between (select before_from from days) and (select last_day from days)
),
reviews as (
    select reviews.review_date >= (select recent_from from days) as is_recent, reviews.rating
    from mart.fct_reviews as reviews
    where reviews.review_date between (select before_from from days) and (select last_day from days)
),
measures as (
    select 1 as place, 'revenue' as measure, is_recent, sum(amount) as value from orders group by is_recent
    union all
    select 2, 'orders', is_recent, count(*) from orders group by is_recent
    union all
    select 3, 'buying customers', is_recent, count(distinct customer_id) from orders group by is_recent
    union all
    select 4, 'average order value', is_recent, avg(amount) from orders group by is_recent
    union all
    select 5, 'share of repeat orders', is_recent, avg(is_repeat::integer) from orders group by is_recent
    union all
    select 6, 'mean rating', is_recent, avg(rating) from reviews group by is_recent
)
select
    measure,
    (max(value) filter (where is_recent))::float8 as recent,
    (max(value) filter (where not is_recent and has_before))::float8 as before
from measures
cross join days
group by place, measure
order by place`,
      columns: {
        measure: { label: { en: "Measure", fr: "Mesure" }, as: "name" },
        recent: { label: { en: "Last 90 days", fr: "90 derniers jours" }, as: "figure" },
        before: { label: { en: "90 days before", fr: "90 jours précédents" }, as: "figure" },
      },
      empty: {
        en: "There are no orders yet. Give a source a staging model with “contract: orders”, then start miette run.",
        fr: "Il n’y a pas encore de commandes. Donnez à une source un modèle de staging avec « contract: orders », puis lancez miette run.",
      },
      draw: (rows, { wording }) => html`<dl class="tiles">${rows.map((row) => tile(row, wording))}</dl>`,
    }),
  ],
};

function tile({ measure, recent, before }: Tile, wording: Wording) {
  const change = recent !== null && before ? recent / before - 1 : null;
  const note =
    change === null || before === null
      ? wording.say({ en: "no earlier period", fr: "pas de période antérieure" })
      : `${wording.change(change)} ${wording.say({ en: "from", fr: "contre" })} ${asMeasure(measure, before, wording)}`;
  return html`<div>
    <dt>${capital(nameOf(measure, wording))}</dt>
    <dd><strong>${recent === null ? "–" : asMeasure(measure, recent, wording)}</strong><span>${note}</span></dd>
  </div>`;
}

function asMeasure(measure: string, value: number, wording: Wording): string {
  if (measure === "revenue") return wording.shortMoney(value);
  if (measure === "average order value") return wording.money(value);
  if (measure === "share of repeat orders") return wording.share(value, 0);
  return measure === "mean rating" ? wording.decimal(value) : wording.count(value);
}
