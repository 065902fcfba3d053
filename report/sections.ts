import type { Section } from "./figure.ts";
import { channels } from "./sections/channels.ts";
import { cohorts } from "./sections/cohorts.ts";
import { freshness } from "./sections/freshness.ts";
import { glance } from "./sections/glance.ts";
import { goals } from "./sections/goals.ts";
import { paths } from "./sections/paths.ts";
import { revenue } from "./sections/revenue.ts";
import { rfm } from "./sections/rfm.ts";
import { satisfaction } from "./sections/satisfaction.ts";
import { segments } from "./sections/segments.ts";

/** The report, in its order. */
export const SECTIONS: readonly Section[] = [
  glance,
  goals,
  revenue,
  channels,
  paths,
  rfm,
  cohorts,
  satisfaction,
  segments,
  freshness,
];
