import { Context } from "@temporalio/activity";
import type { Pool } from "pg";
import { REVOKE_DELIVERIES } from "../domain/ids.ts";
import { hasDeliveries } from "../warehouse/activation/claim.ts";

/**
 * Has the destinations that anybody allows no longer told, at once and without waiting for it: to be called by whatever has
 * written a withdrawal, an objection, an opt-out or a restriction down.
 */
export async function revokeDeliveriesSoon(pool: Pool): Promise<void> {
  if (await hasDeliveries(pool)) {
    await Context.current().client.workflow.signalWithStart("revokeDeliveries", REVOKE_DELIVERIES);
  }
}
