import { ScheduleOverlapPolicy, type Client, type ScheduleOptions, type ScheduleSummary } from "@temporalio/client";
import type { Command } from "commander";
import { UserError } from "../domain/errors.ts";
import {
  HEALTH_WORKFLOW_ID,
  RETENTION_WORKFLOW_ID,
  REVOKE_DELIVERIES,
  syncWorkflowId,
  TASK_QUEUE,
} from "../domain/ids.ts";
import type { Project, Schedule } from "../domain/project.ts";
import { printRows } from "./output.ts";
import { withSession, type GlobalOptions } from "./session.ts";

/** The schedules beside those of sources. */
const OWN: ReadonlySet<string> = new Set([HEALTH_WORKFLOW_ID, RETENTION_WORKFLOW_ID, REVOKE_DELIVERIES.workflowId]);

export interface AppliedSchedules {
  created: string[];
  updated: string[];
  deleted: string[];
}

/** Makes the schedules of miette.yaml true in Temporal: creates and updates what it names, deletes what is gone. */
export async function applySchedules(client: Client, project: Project): Promise<AppliedSchedules> {
  const applied: AppliedSchedules = { created: [], updated: [], deleted: [] };
  const existing = new Set((await listOwn(client)).map(({ scheduleId }) => scheduleId));
  const wanted = new Map(
    project.sources.flatMap(({ name, schedule }) =>
      schedule ? [[syncWorkflowId(name), syncSchedule(name, schedule, project)]] : [],
    ) as [string, ScheduleOptions][],
  );
  const { freshness, notify } = project;
  if (freshness.length > 0 || notify.webhook || notify.smtp) wanted.set(HEALTH_WORKFLOW_ID, healthSchedule());
  // Whoever was handed over to a destination that is gone since may withdraw, or their consent expire, all the same.
  const hasDestinations = project.destinations.length > 0 || existing.has(REVOKE_DELIVERIES.workflowId);
  if (hasDestinations) wanted.set(REVOKE_DELIVERIES.workflowId, revocationsSchedule(project));
  wanted.set(RETENTION_WORKFLOW_ID, retentionSchedule(project));
  for (const [scheduleId, options] of wanted) {
    if (existing.has(scheduleId)) {
      // What an operator did by hand, a pause and its note, stays.
      await client.schedule.getHandle(scheduleId).update((previous) => ({ ...options, state: previous.state }));
      applied.updated.push(scheduleId);
    } else {
      await client.schedule.create(options);
      applied.created.push(scheduleId);
    }
  }
  for (const scheduleId of existing) {
    if (wanted.has(scheduleId)) continue;
    await client.schedule.getHandle(scheduleId).delete();
    applied.deleted.push(scheduleId);
  }
  return applied;
}

function syncSchedule(source: string, schedule: Schedule, project: Project): ScheduleOptions<never> {
  return {
    scheduleId: syncWorkflowId(source),
    spec: {
      ...("cron" in schedule ? { cronExpressions: [schedule.cron] } : { intervals: [{ every: schedule.every }] }),
      // Cron is written in the project's own time; sources that are due at once are spread over ten seconds.
      timezone: project.timeZone,
      jitter: "10s",
    },
    // A sync reads all that is new, so one that is late makes up for those that were missed.
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: "1h" },
    action: {
      type: "startWorkflow",
      workflowType: "syncSource",
      workflowId: syncWorkflowId(source),
      taskQueue: TASK_QUEUE,
      args: [{ source, thenBuild: true }],
      staticSummary: source,
    },
  } as unknown as ScheduleOptions<never>;
}

/** Late by minutes is early enough to be told; what fails is told at once. */
function healthSchedule(): ScheduleOptions {
  return {
    scheduleId: HEALTH_WORKFLOW_ID,
    spec: { intervals: [{ every: "5m" }], jitter: "10s" },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: "1m" },
    action: {
      type: "startWorkflow",
      workflowType: "checkHealth",
      workflowId: HEALTH_WORKFLOW_ID,
      taskQueue: TASK_QUEUE,
      args: [],
      staticSummary: "freshness, checks, recoveries",
    },
  };
}

/** What is withdrawn is revoked at once; a consent that expires says nothing, so it is looked for after midnight. */
function revocationsSchedule(project: Project): ScheduleOptions {
  const { workflowId, args, staticSummary } = REVOKE_DELIVERIES;
  const action = { workflowType: "revokeDeliveries", workflowId, args, staticSummary };
  return daily(project, { hour: 0, minute: 5 }, action);
}

/** Periods are days and months. */
function retentionSchedule(project: Project): ScheduleOptions {
  const args = [{ actor: "schedule" }];
  return daily(
    project,
    { hour: 3, minute: 30 },
    { workflowType: "applyRetention", workflowId: RETENTION_WORKFLOW_ID, args, staticSummary: "what is past its age" },
  );
}

/** Once a day by the project's own clock; the schedule is named as its workflow. */
function daily(
  { timeZone }: Project,
  at: { hour: number; minute: number },
  action: { workflowType: string; workflowId: string; args: unknown[]; staticSummary: string },
): ScheduleOptions {
  return {
    scheduleId: action.workflowId,
    spec: { calendars: [at], timezone: timeZone, jitter: "1m" },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: "1d" },
    action: { type: "startWorkflow", taskQueue: TASK_QUEUE, ...action },
  } as unknown as ScheduleOptions<never>;
}

async function listOwn(client: Client): Promise<ScheduleSummary[]> {
  const own: ScheduleSummary[] = [];
  for await (const schedule of client.schedule.list()) {
    if (schedule.scheduleId.startsWith("sync:") || OWN.has(schedule.scheduleId)) own.push(schedule);
  }
  return own.toSorted((a, b) => a.scheduleId.localeCompare(b.scheduleId));
}

export function registerSchedules(program: Command): void {
  const schedules = program.command("schedules");
  schedules
    .command("apply")
    .description("make the schedules of miette.yaml true in Temporal")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const applied = await applySchedules(session.client, session.project);
        if (session.json) return console.log(JSON.stringify(applied));
        const parts = Object.entries(applied).map(
          ([verb, ids]) => `${ids.length} ${verb}${ids.length ? ` (${ids.join(", ")})` : ""}`,
        );
        console.log(`Schedules: ${parts.join("; ")}.`);
      });
    });
  schedules
    .command("list")
    .description("the schedules, and when each is due next")
    .action(async (_options: unknown, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const own = await listOwn(session.client);
        printRows(
          own.map(({ scheduleId, state, info }) => ({
            schedule: scheduleId,
            paused: state.paused,
            "next at": info.nextActionTimes[0]?.toISOString() ?? null,
            note: state.note ?? null,
          })),
          { json: session.json, empty: "There are no schedules; miette schedules apply makes those of miette.yaml." },
        );
      });
    });
  schedules
    .command("pause")
    .description("pause a source's schedule, or let it go on")
    .argument("<source>")
    .option("--resume", "let it go on")
    .option("--note <text>", "why, for whoever reads it in the UI", "paused by miette schedules pause")
    .action(async (source: string, options: { resume?: boolean; note: string }, command: Command) => {
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: false }, async (session) => {
        const handle = session.client.schedule.getHandle(await existingSchedule(session.client, source));
        await (options.resume ? handle.unpause() : handle.pause(options.note));
        console.log(`The schedule of ${source} ${options.resume ? "goes on" : "is paused"}.`);
      });
    });
  schedules
    .command("backfill")
    .description("run a source's schedule for every time it was due in a span, one after the other")
    .argument("<source>")
    .requiredOption("--from <time>", "ISO 8601")
    .requiredOption("--to <time>", "ISO 8601")
    .action(async (source: string, options: { from: string; to: string }, command: Command) => {
      const [start, end] = [new Date(options.from), new Date(options.to)];
      if (Number.isNaN(start.getTime()) || Number.isNaN(end.getTime()) || start >= end) {
        throw new UserError("must be two ISO 8601 times, the earlier first", { key: "--from, --to" });
      }
      await withSession(command.optsWithGlobals<GlobalOptions>(), { worker: true }, async (session) => {
        const handle = session.client.schedule.getHandle(await existingSchedule(session.client, source));
        await handle.backfill({ start, end, overlap: ScheduleOverlapPolicy.BUFFER_ALL });
        console.log(
          `The schedule of ${source} runs for ${options.from} to ${options.to}; the Temporal UI shows how far it is.`,
        );
      });
    });
}

async function existingSchedule(client: Client, source: string): Promise<string> {
  const scheduleId = syncWorkflowId(source);
  const known = (await listOwn(client)).map((schedule) => schedule.scheduleId);
  if (!known.includes(scheduleId)) {
    throw new UserError(`has no schedule in Temporal; give it one in miette.yaml and run miette schedules apply`, {
      key: source,
    });
  }
  return scheduleId;
}
