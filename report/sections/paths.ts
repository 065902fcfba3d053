import { ACCENT, chart, INK, MUTED, shorten } from "../chart.ts";
import { figure, type Section, type View } from "../figure.ts";
import type { Html } from "../html.ts";
import { nameOf } from "../names.ts";

type Path = { path: string; steps: number; orders: number; order_share: number; revenue: number };

const ARROW = " → ";

export const paths: Section = {
  id: "paths",
  title: { en: "Paths", fr: "Parcours" },
  lead: {
    en: "The channels that people came by in the 30 days before the orders of the last 90 days, in their sequence; the same channel several times in a row counts once.",
    fr: "Les canaux empruntés dans les 30 jours avant les commandes des 90 derniers jours, dans l’ordre ; un même canal plusieurs fois de suite compte une fois.",
  },
  figures: [
    figure<Path>({
      id: "sequences",
      title: { en: "Most frequent paths to an order", fr: "Parcours les plus fréquents vers une commande" },
      sql: `
with last_day as (
    select max(order_date) as day
    from mart.fct_orders
    where order_date <= (select (ops.as_of() at time zone ops.time_zone())::date)
),
-- The linear model credits every touchpoint before an order.
steps as (
    select
        attribution.order_id,
        attribution.channel,
        touchpoints.touched_at,
        touchpoints.touchpoint_id,
        lag(attribution.channel) over (
            partition by attribution.order_id order by touchpoints.touched_at, touchpoints.touchpoint_id
        ) as channel_before
    from mart.fct_attribution as attribution
    join mart.fct_touchpoints as touchpoints on touchpoints.touchpoint_id = attribution.touchpoint_id
    where attribution.order_date > (select day from last_day) - 90
        and attribution.order_date <= (select day from last_day)
        and attribution.model = 'linear'
),
paths as (
    select
        order_id,
        string_agg(channel, '${ARROW}' order by touched_at, touchpoint_id) as path,
        count(*) as steps
    from steps
    where channel is distinct from channel_before
    group by order_id
)
select
    paths.path,
    paths.steps::float8 as steps,
    count(*)::float8 as orders,
    (count(*) / sum(count(*)) over ())::float8 as order_share,
    coalesce(sum(orders.amount), 0)::float8 as revenue
from paths
join mart.fct_orders as orders on orders.order_id = paths.order_id
group by paths.path, paths.steps
order by orders desc, revenue desc, paths.path
limit 12`,
      columns: {
        path: { label: { en: "Path", fr: "Parcours" }, as: "text" },
        steps: { label: { en: "Steps", fr: "Étapes" }, as: "count" },
        orders: { label: { en: "Orders", fr: "Commandes" }, as: "count" },
        order_share: { label: { en: "Share of orders", fr: "Part des commandes" }, as: "share" },
        revenue: { label: { en: "Revenue", fr: "Chiffre d’affaires" }, as: "money" },
      },
      empty: {
        en: "No visits before an order are known yet. Bring web events (“contract: events”) of people who also order, then start miette run.",
        fr: "On ne connaît pas encore de visites avant une commande. Apportez les événements web (« contract: events ») de personnes qui commandent aussi, puis lancez miette run.",
      },
      finding: (rows, { wording }) => {
        const direct = rows.filter((row) => row.steps === 1).reduce((sum, row) => sum + row.order_share, 0);
        return wording.say({
          en: `Of the paths shown, those with a single channel make ${wording.share(direct, 0)} of the orders that have a path.`,
          fr: `Parmi ces parcours, ceux d’un seul canal font ${wording.share(direct, 0)} des commandes dont on connaît le parcours.`,
        });
      },
      draw: drawPaths,
    }),
  ],
};

/** A path stands above its bar, since it may be long. */
function drawPaths(rows: Path[], view: View): Html {
  const { wording } = view;
  const longest = view.width === "wide" ? 100 : 52;
  return chart(view, rows.length * 42 + 12, wording.say(paths.figures[0]!.title), {
    grid: { left: 4, right: view.width === "wide" ? 110 : 88, top: 8, bottom: 4 },
    xAxis: { type: "value", show: false },
    yAxis: { type: "category", inverse: true, show: false, data: rows.map((row) => row.path) },
    series: [
      {
        type: "bar",
        silent: true,
        barWidth: 10,
        itemStyle: { color: ACCENT },
        data: rows.map((row) => row.orders),
        label: {
          show: true,
          position: "right",
          color: MUTED,
          formatter: ({ dataIndex }) =>
            `${wording.count(rows[dataIndex]!.orders)} · ${wording.share(rows[dataIndex]!.order_share)}`,
        },
      },
      {
        type: "bar",
        silent: true,
        barWidth: 10,
        barGap: "-100%",
        itemStyle: { color: "none" },
        data: rows.map((row) => row.orders),
        label: {
          show: true,
          position: [0, -15],
          color: INK,
          formatter: ({ dataIndex }) =>
            shorten(
              rows[dataIndex]!.path.split(ARROW)
                .map((name) => nameOf(name, wording))
                .join(ARROW),
              longest,
            ),
        },
      },
    ],
  });
}
