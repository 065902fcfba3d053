import type { EChartsOption } from "echarts";
import { init } from "echarts/dist/echarts.esm.min.mjs";
import { escapeHtml, Html } from "./html.ts";
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

/** Names of unknown length in a place of known size. */
export function shorten(text: string, length: number): string {
  const characters = [...text.replaceAll(/\s+/g, " ")];
  return characters.length <= length ? characters.join("") : `${characters.slice(0, length - 1).join("")}…`;
}
