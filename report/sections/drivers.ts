import { BAD, chart, GOOD, INK, MUTED, PAPER, RULE, shorten, textStyle } from "../chart.ts";
import { figure, type View } from "../figure.ts";
import type { Html } from "../html.ts";
import type { Wording } from "../language.ts";
import { capital, nameOf } from "../names.ts";

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

/** What goes with better or worse ratings, surest first. */
export const drivers = figure<Driver>({
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
});

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
  return chart(view, rows.length * (wide ? 30 : 40) + 40, wording.say(drivers.title), {
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
