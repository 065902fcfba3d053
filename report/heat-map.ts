import { chart, heat, INK, MUTED, PAPER } from "./chart.ts";
import type { View } from "./figure.ts";
import type { Html } from "./html.ts";

export interface Cell {
  x: number;
  y: number;
  /** 0 to 1: how strong the colour is. */
  strength: number;
  text: string;
}

/** A table of coloured cells; the first row is on top. */
export function heatMap(
  view: View,
  label: string,
  options: { x: string[]; y: string[]; xName: string; yName?: string; cells: Cell[]; rowHeight: number; left: number },
): Html {
  const { x, y, xName, yName, cells, rowHeight, left } = options;
  const size = view.width === "wide" ? 12 : 10;
  const axis = {
    type: "category" as const,
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { show: false },
  };
  return chart(view, y.length * rowHeight + 52, label, {
    grid: { left, right: 4, top: 44, bottom: 8 },
    xAxis: {
      ...axis,
      data: x,
      position: "top",
      name: xName,
      nameLocation: "middle",
      nameGap: 26,
      nameTextStyle: { color: MUTED, fontSize: size },
      axisLabel: { color: INK, fontSize: size, interval: 0 },
    },
    yAxis: {
      ...axis,
      data: y,
      inverse: true,
      ...(yName
        ? {
            name: yName,
            nameLocation: "middle" as const,
            nameGap: left - 16,
            nameTextStyle: { color: MUTED, fontSize: size },
          }
        : {}),
      axisLabel: { color: INK, fontSize: size, interval: 0 },
    },
    series: [
      {
        type: "heatmap",
        silent: true,
        data: cells.map((cell) => {
          const { fill, ink } = heat(cell.strength);
          return {
            value: [cell.x, cell.y, cell.strength],
            itemStyle: { color: fill, borderColor: PAPER, borderWidth: 2, borderRadius: 3 },
            label: { show: true, color: ink, fontSize: size, formatter: () => cell.text },
          };
        }),
      },
    ],
    // The series asks for a scale of its own; colours come from the cells.
    visualMap: { show: false, min: 0, max: 1, seriesIndex: [] },
  });
}
