import { Context } from "@temporalio/activity";
import type { Destination, DestinationOptions, Outcome } from "../connectors/destination.ts";
import type {
  ClaimedDeliveries,
  DeliverAudienceInput,
  DeliveryState,
  PendingErasure,
  SentDelivery,
} from "../domain/destinations.ts";
import { UserError } from "../domain/errors.ts";
import type { DestinationDeclaration, Project } from "../domain/project.ts";
import {
  claimDeliveries,
  claimRevocations,
  undeclared,
  undeclaredDestinations,
} from "../warehouse/activation/claim.ts";
import { leaveToPerson, listErasures, prepareErasure } from "../warehouse/activation/erasures.ts";
import { closeLeaving } from "../warehouse/activation/leaving.ts";
import { prepareSend, readBatch, settle, type Batch, type Handed } from "../warehouse/activation/send.ts";
import { inTransaction } from "../warehouse/database.ts";
import { loadSegments } from "../warehouse/models/project-graph.ts";
import { graphOf } from "./build.ts";
import type { Dependencies } from "./dependencies.ts";

/** What goes to destinations. @param activator opens and hands over; @param privacy what erases */
export function destinationActivities(activator: Dependencies, privacy: Dependencies) {
  const { vault } = activator;
  return {
    /** @throws UserError where the segment or destination is not there, or the segment names no purpose */
    async claimDeliveries({ segment, destination, actor }: DeliverAudienceInput): Promise<ClaimedDeliveries> {
      const declared = destinationOf(await activator.loadProject(), destination);
      const { deliver } = activator.destinations[declared.connector] as unknown as Destination<unknown>;
      if (!deliver) {
        throw new UserError(
          "is told by hand, so nothing is handed over to it; miette segment hand-over --out FILE writes a file",
          { key: `destinations.${destination}` },
        );
      }
      // It tells what a segment may not read.
      await graphOf(privacy);
      const chosen = (await loadSegments(await activator.loadSql())).get(segment);
      const file = `sql/segments/${segment}.sql`;
      if (!chosen) throw new UserError("there is no such segment; miette segment list shows them.", { file });
      if (chosen.consent === null) {
        throw new UserError("names no purpose, so it is for analysis alone; add a line -- consent: marketing.", {
          file,
        });
      }
      return await claimDeliveries(activator.pool, declared, { segment, purpose: chosen.consent }, actor);
    },
    /** Who is to leave any destination, since they allow it no longer. */
    async claimRevocations(): Promise<string[]> {
      const claimed: string[] = [];
      await closeLeaving(privacy.pool);
      const { destinations } = await activator.loadProject();
      const gone = await undeclaredDestinations(
        activator.pool,
        destinations.map(({ name }) => name),
      );
      for (const each of [...destinations, ...gone]) {
        claimed.push(...(await claimRevocations(activator.pool, each, isByHand(activator, each))));
      }
      return claimed;
    },
    /**
     * Sends a batch, once in effect: what was interrupted goes out again under the same key with the same bytes. What a
     * destination that stands no longer in the project would take back is left to a person.
     */
    async sendDelivery({ deliveryId }: { deliveryId: string }): Promise<SentDelivery> {
      for (let id = deliveryId; ;) {
        const project = await activator.loadProject();
        const { destination, operation } = await readBatch(activator.pool, id);
        const isGone = operation === "remove" && !project.destinations.some(({ name }) => name === destination);
        const declared = isGone ? undeclared(destination) : destinationOf(project, destination);
        const prepared = await prepareSend(activator.pool, vault, declared, id);
        if ("next" in prepared) {
          id = prepared.next;
          continue;
        }
        if ("settled" in prepared) return summaryOf(prepared.settled, prepared.settled.state);
        const { batch, people } = prepared;
        const state = await call(activator, project, declared, batch, people);
        await inTransaction(activator.pool, (client) => settle(client, id, state));
        return summaryOf(batch, state);
      }
    },
    /**
     * Has a destination erase a person, once in effect. One that stands no longer in the project is left to a person at
     * once; asked again, it erases by itself if it has been put back meanwhile.
     */
    async eraseAtDestination({ deliveryId }: { deliveryId: string }): Promise<DeliveryState> {
      const batch = await readBatch(privacy.pool, deliveryId);
      const project = await privacy.loadProject();
      const declared = project.destinations.find(({ name }) => name === batch.destination);
      if (!declared) return await leaveToPerson(privacy.pool, deliveryId);
      if (batch.state === "manual" && isByHand(privacy, declared)) return batch.state;
      const people = await prepareErasure(privacy.pool, vault, deliveryId);
      if (people === null) return batch.state;
      const state = await call(privacy, project, declared, batch, people);
      await inTransaction(privacy.pool, (client) => settle(client, deliveryId, state));
      return state;
    },
    settleDelivery: ({ deliveryId, state }: { deliveryId: string; state: DeliveryState }): Promise<void> =>
      inTransaction(privacy.pool, (client) => settle(client, deliveryId, state)),
    listErasures: ({ requestId }: { requestId: string }): Promise<PendingErasure[]> =>
      listErasures(privacy.pool, requestId),
  };
}

async function call(
  { destinations }: Dependencies,
  project: Project,
  { connector, config }: DestinationDeclaration,
  { deliveryId, operation, audience, purpose, madeAt }: Batch,
  people: Handed[],
): Promise<Outcome> {
  const to = destinations[connector] as unknown as Destination<unknown>;
  const { cancellationSignal: signal } = Context.current();
  const options: DestinationOptions = { signal, directory: project.directory };
  const parcel = { key: deliveryId, at: madeAt, audience, purpose, members: people };
  if (operation === "deliver") return (await to.deliver?.(config, parcel, options)) ?? "unsupported";
  if (operation === "remove") return (await to.remove?.(config, parcel, options)) ?? "unsupported";
  return (await to.erase?.(config, { key: deliveryId, at: madeAt, members: people }, options)) ?? "unsupported";
}

/** Whether a destination can only be told by a person: nothing is handed over to it. */
function isByHand({ destinations }: Dependencies, { connector }: DestinationDeclaration): boolean {
  return !(destinations[connector] as unknown as Destination<unknown>).deliver;
}

/** @throws UserError where the project has no such destination */
export function destinationOf({ destinations }: Project, name: string): DestinationDeclaration {
  const found = destinations.find((each) => each.name === name);
  if (!found) {
    const names = destinations.map((each) => each.name).join(", ") || "none";
    throw new UserError(`there is no such destination; the project declares ${names}`, { key: `destinations.${name}` });
  }
  return found;
}

function summaryOf({ destination, operation, members }: Batch, state: DeliveryState): SentDelivery {
  return { destination, state, operation, members };
}
