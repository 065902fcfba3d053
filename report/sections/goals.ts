import {
  ACCENT,
  chart,
  dayAxis,
  dayLine,
  dayNumber,
  INK,
  legend,
  MUTED,
  quietScale,
  RULE,
  seriesColour,
  shorten,
} from "../chart.ts";
import { figure, groupRows, type Section, type View } from "../figure.ts";
import { html, type Html } from "../html.ts";
import { capital, nameOf } from "../names.ts";

type Goal = {
  goal: string;
  value: number | null;
  direction: string;
  target: number;
  by_date: string;
  expected: number | null;
  pace: number | null;
  status: string;
  is_met: boolean;
};
type Measured = { goal: string; date: string; value: number; target: number };

const EMPTY = {
  en: "No goal is set yet. Name one under goals: in miette.yaml (a measure, a target, a date), then start miette run.",
  fr: "Aucun objectif n’est fixé. Nommez-en un sous goals: dans miette.yaml (une mesure, une cible, une date), puis lancez miette run.",
};

export const goals: Section = {
  id: "goals",
  title: { en: "Goals", fr: "Objectifs" },
  lead: {
    en: "Where each goal stands, and where it will be on its day if the pace since its start lasts.",
    fr: "Où en est chaque objectif, et où il sera à son échéance si le rythme depuis le début se maintient.",
  },
  figures: [
    figure<Goal>({
      id: "standing",
      title: { en: "Value against target", fr: "Valeur et cible" },
      sql: `
select
    goal,
    value::float8 as value,
    direction,
    target::float8 as target,
    by_date,
    expected::float8 as expected,
    pace::float8 as pace,
    status,
    is_met
from mart.goals
order by by_date, goal`,
      columns: {
        goal: { label: { en: "Goal", fr: "Objectif" }, as: "text" },
        value: { label: { en: "Value", fr: "Valeur" }, as: "figure" },
        direction: { label: { en: "To be", fr: "À être" }, as: "name" },
        target: { label: { en: "Target", fr: "Cible" }, as: "figure" },
        by_date: { label: { en: "By", fr: "Échéance" }, as: "date" },
        expected: { label: { en: "Expected by then", fr: "Attendu à l’échéance" }, as: "figure" },
        pace: { label: { en: "Pace per day", fr: "Rythme par jour" }, as: "figure" },
        status: { label: { en: "Status", fr: "État" }, as: "name" },
        is_met: { label: { en: "Met", fr: "Atteint" }, as: "yes_no" },
      },
      empty: EMPTY,
      finding: (rows, { wording }) => {
        const met = rows.filter((row) => row.is_met).length;
        return wording.say({
          en: `${met} of ${rows.length} ${rows.length === 1 ? "goal" : "goals"} met.`,
          fr: `${met} ${met > 1 ? "objectifs atteints" : "objectif atteint"} sur ${rows.length}.`,
        });
      },
      draw: (rows, { wording }) =>
        html`<ul class="goals">
          ${rows.map((row) => {
            const of = (value: number | null) => (value === null || row.target === 0 ? null : value / row.target);
            const say = (value: number | null) => (value === null ? "–" : wording.figure(value));
            return html`<li>
              <div class="goal-head">
                <strong>${capital(row.goal)}</strong
                ><span class="badge ${row.status.replaceAll(" ", "-")}">${capital(nameOf(row.status, wording))}</span>
              </div>
              ${bullet(of(row.value), of(row.expected))}
              <p>
                ${say(row.value)} · ${nameOf(row.direction, wording)} ${say(row.target)}
                ${wording.say({ en: "by", fr: "d’ici le" })}
                ${wording.date(row.by_date)}${
                  row.expected === null
                    ? null
                    : html` · ${wording.say({ en: "expected by then", fr: "attendu à cette date" })}
                      ${say(row.expected)}`
                }
              </p>
            </li>`;
          })}
        </ul>`,
    }),
    figure<Measured>({
      id: "course",
      title: { en: "The way there, as a share of the target", fr: "Le chemin parcouru, en part de la cible" },
      sql: `
select
    goal_values.goal,
    goal_values.date,
    goal_values.value::float8 as value,
    goals.target::float8 as target
from mart.goal_values as goal_values
join mart.goals as goals on goals.goal = goal_values.goal
where goal_values.date > (select (ops.as_of() at time zone ops.time_zone())::date) - 366
order by goal_values.goal, goal_values.date`,
      columns: {
        goal: { label: { en: "Goal", fr: "Objectif" }, as: "text" },
        date: { label: { en: "Day", fr: "Jour" }, as: "date" },
        value: { label: { en: "Value", fr: "Valeur" }, as: "figure" },
        target: { label: { en: "Target", fr: "Cible" }, as: "figure" },
      },
      empty: EMPTY,
      finding: (rows, { wording }) =>
        new Set(rows.map((row) => row.date)).size > 1
          ? null
          : wording.say({
              en: "Measured once so far; every day that miette runs adds a point.",
              fr: "Mesuré une seule fois pour l’instant ; chaque jour d’exécution ajoute un point.",
            }),
      draw: drawCourse,
    }),
  ],
};

/** Bar, target and expectation on one scale, in markup, so that it fits any width. */
function bullet(value: number | null, expected: number | null): Html {
  const most = Math.max(1, value ?? 0, expected ?? 0) * 1.04;
  const at = (share: number) => (100 * Math.min(Math.max(share, 0), most)) / most;
  return html`<svg class="bullet" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
    <rect width="100" height="10" fill="${RULE}" />
    ${value === null ? null : html`<rect y="2" width="${at(value).toFixed(2)}" height="6" fill="${ACCENT}" />`}
    ${expected === null ? null : html`<rect x="${(at(expected) - 0.25).toFixed(2)}" y="2" width="0.5" height="6" fill="${MUTED}" />`}
    <rect x="${(at(1) - 0.3).toFixed(2)}" width="0.6" height="10" fill="${INK}" />
  </svg>`;
}

function drawCourse(rows: Measured[], view: View): Html {
  const { wording } = view;
  const days = rows.map((row) => row.date);
  if (new Set(days).size === 1) return html``;
  const courses = [
    ...groupRows(
      rows.filter((row) => row.target !== 0),
      "goal",
    ),
  ]
    .slice(0, 7)
    .map(([goal, points], index) => ({ name: shorten(capital(goal), 60), points, colour: seriesColour(index) }));
  return html`${legend(courses)}${chart(view, 240, wording.say(goals.figures[1]!.title), {
    grid: { left: 48, right: 40, top: 12, bottom: 28 },
    xAxis: dayAxis(view, days),
    yAxis: quietScale((share) => wording.share(share, 0)),
    series: courses.map(({ points, colour }, index) => ({
      ...dayLine(
        colour,
        points.map((point) => [dayNumber(point.date), point.value / point.target]),
      ),
      ...(index === 0
        ? {
            markLine: {
              silent: true,
              symbol: "none",
              label: { show: false },
              lineStyle: { color: INK, type: "dashed" },
              data: [{ yAxis: 1 }],
            },
          }
        : {}),
    })),
  })}`;
}
