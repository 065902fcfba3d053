import type { EChartsOption } from "echarts";
import { init } from "echarts/dist/echarts.esm.min.mjs";
import { escapeHtml, html, Html } from "./html.ts";
import type { View } from "./figure.ts";

/** Colours are custom properties of the page, so that one drawing serves light, dark and print. */
export const INK = "var(--ink)";
export const MUTED = "var(--muted)";
export const RULE = "var(--rule)";
export const ACCENT = "var(--series-1)";
export const GOOD = "var(--good)";
export const BAD = "var(--bad)";
export const PAPER = "var(--paper)";

/** A colour that stays apart from its neighbours for colour-blind eyes; the eighth and later are one grey. */
export function seriesColour(index: number): string {
  return index < 7 ? `var(--series-${index + 1})` : "var(--series-rest)";
}

/** Steps of one hue, for 0 to 1, and the ink that can be read on them. */
export function heat(share: number): { fill: string; ink: string } {
  const step = Math.min(6, Math.max(0, Math.floor(share * 7)));
  return { fill: `var(--heat-${step})`, ink: step >= 4 ? "var(--heat-ink-high)" : "var(--heat-ink-low)" };
}

export const WIDTHS = { wide: 760, narrow: 360 } as const;

/** Text of a chart in units of its drawing, which is shown at about its natural size on either screen. */
export function textStyle(view: View): { fontFamily: string; fontSize: number; color: string } {
  return { fontFamily: "inherit", fontSize: view.width === "wide" ? 12 : 11, color: MUTED };
}

/**
 * Draws a chart as an SVG that needs no script.
 * @param label what a screen reader says in its place; the numbers follow in a table
 * @param height in units of the drawing
 */
export function chart(view: View, height: number, label: string, option: EChartsOption): Html {
  const drawing = init(null, null, { renderer: "svg", ssr: true, width: WIDTHS[view.width], height });
  try {
    drawing.setOption({ animation: false, textStyle: textStyle(view), ...option });
    return new Html(asFigure(drawing.renderToSVGString({ useViewBox: true }), label));
  } finally {
    drawing.dispose();
  }
}

/** The library writes for a file of its own and for scripts: namespaces, fixed sizes, hover classes and marks. */
function asFigure(svg: string, label: string): string {
  const bare = svg
    .replace(/<style\b[\s\S]*?<\/style>/g, "")
    .replace(/<[^>]+>/g, (tag) =>
      tag.replace(
        / (?:class="zr\d+-cls-\d+"|ecmeta_\w+="[^"]*"|pointer-events="\w+"|xmlns(?::xlink)?="[^"]*"|dominant-baseline="central"(?= text-anchor="none"))/g,
        "",
      ),
    )
    .replace(/\n+/g, "");
  return bare.replace(/^<svg[^>]*?(viewBox="[^"]*")[^>]*>/, `<svg $1 role="img" aria-label="${escapeHtml(label)}">`);
}

/** Names and colours of a chart's series. In markup, since the width of text is known to the browser alone. */
export function legend(entries: { name: string; colour: string }[]): Html {
  return html`<ul class="legend">
    ${entries.map(
      ({ name, colour }) =>
        html`<li>
          <svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" rx="2" fill="${colour}" /></svg
          >${name}
        </li>`,
    )}
  </ul>`;
}

const DAY = 86_400_000;

/** Days since 1970 of a YYYY-MM-DD, as the places of a time axis. */
export function dayNumber(day: string): number {
  return Date.parse(`${day}T00:00:00Z`) / DAY;
}

/** An axis of whole days, with as many labels as fit. */
export function dayAxis(view: View, days: string[]) {
  const numbers = days.map(dayNumber);
  const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
  const labels = Math.min(last - first, view.width === "wide" ? 6 : 3);
  return {
    type: "value" as const,
    min: first,
    max: last,
    axisLine: { lineStyle: { color: RULE } },
    axisTick: { show: false },
    splitLine: { show: false },
    axisLabel: {
      color: MUTED,
      showMinLabel: true,
      customValues: Array.from(
        { length: labels + 1 },
        (_, index) => first + Math.round((index * (last - first)) / labels),
      ),
      formatter: (day: number) => view.wording.date(new Date(day * DAY).toISOString().slice(0, 10)),
    },
  };
}

/** An axis of months, the year beside the first that is labelled and each January. */
export function monthAxis(view: View, months: string[]) {
  return {
    type: "category" as const,
    data: months,
    axisTick: { show: false },
    axisLine: { lineStyle: { color: RULE } },
    axisLabel: {
      color: MUTED,
      lineHeight: 14,
      hideOverlap: true,
      formatter: (month: string, index: number) => view.wording.shortMonth(month, index === 0),
    },
  };
}

/** A line over days, with a mark on each as long as they stay apart. */
export function dayLine(colour: string, points: [day: number, value: number][]) {
  return {
    type: "line" as const,
    silent: true,
    clip: false,
    symbol: "circle",
    symbolSize: points.length > 60 ? 0 : 5,
    lineStyle: { width: 2, color: colour },
    itemStyle: { color: colour },
    data: points,
  };
}

/** A scale that is told by its lines alone. */
export function quietScale(label: (value: number) => string) {
  return {
    type: "value" as const,
    axisLine: { show: false },
    axisTick: { show: false },
    splitNumber: 4,
    splitLine: { lineStyle: { color: RULE } },
    axisLabel: { color: MUTED, formatter: label },
  };
}

/** Names of unknown length in a place of known size. */
export function shorten(text: string, length: number): string {
  const characters = [...text.replaceAll(/\s+/g, " ")];
  return characters.length <= length ? characters.join("") : `${characters.slice(0, length - 1).join("")}…`;
}
