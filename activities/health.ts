import type { Alert } from "../domain/alerts.ts";
import { channelsOf, notify } from "../notify/notify.ts";
import { deliverOnce, type Delivery, pendingDeliveries, putAlerts } from "../warehouse/alerts.ts";
import { watchClock, watchHealth } from "../warehouse/health.ts";
import { clockSubjects } from "../warehouse/requests/clocks.ts";
import type { Dependencies } from "./dependencies.ts";

/** Notes what has changed, and gives what the channels have to be told. */
export async function checkHealth({ pool, loadProject }: Dependencies): Promise<Delivery[]> {
  const project = await loadProject();
  await watchHealth(pool, project);
  return await pendingDeliveries(pool, project.name, channelsOf(project.notify));
}

/** What a request's clock says at a moment: when to look again, and what the channels have to be told. */
export async function lookAtClock(
  { pool, loadProject }: Dependencies,
  { requestId, at }: { requestId: string; at: string },
): Promise<{ next: string | null; deliveries: Delivery[] }> {
  const project = await loadProject();
  const next = await watchClock(pool, project, requestId, new Date(at));
  const channels = channelsOf(project.notify);
  return { next, deliveries: await pendingDeliveries(pool, project.name, channels, clockSubjects(requestId)) };
}

export async function raiseAlert({ pool }: Dependencies, alert: Alert): Promise<void> {
  await putAlerts(pool, [alert]);
}

export async function deliver({ pool, loadProject }: Dependencies, delivery: Delivery): Promise<void> {
  const { notify: channels } = await loadProject();
  await deliverOnce(pool, delivery, () => notify(channels, delivery.channel, delivery.message));
}
