import { Context } from "@temporalio/activity";
import type { Destination } from "../connectors/destination.ts";
import type { DeliveryState } from "../domain/destinations.ts";
import { UserError } from "../domain/errors.ts";
import { settle } from "../warehouse/activation/send.ts";
import { inTransaction } from "../warehouse/database.ts";
import { noteChallengeSent, prepareChallenge, type Challenge } from "../warehouse/requests/challenge.ts";
import { makeChallenge } from "../warehouse/requests/identity.ts";
import type { Dependencies } from "./dependencies.ts";
import { destinationOf } from "./destinations.ts";

/** Codes by which those who ask show who they are, sent through a destination. */
export function challengeActivities(dependencies: Dependencies) {
  const { pool, vault } = dependencies;
  const open = async (name: string) => {
    const project = await dependencies.loadProject();
    const { connector, config } = destinationOf(project, name);
    const { send } = dependencies.destinations[connector] as unknown as Destination<unknown>;
    if (send) return { project, config, send };
    throw new UserError(`a destination of the connector ${connector} passes no message on; name another`, {
      key: `destinations.${name}`,
    });
  };
  return {
    /** @returns which of the request's codes it is: the code itself leaves the worker only by the destination */
    async makeChallenge(input: { requestId: string; destination: string; actor: string }): Promise<Challenge> {
      const { requestId, destination, actor } = input;
      await open(destination);
      const { number } = await makeChallenge(pool, vault, requestId, actor);
      return { requestId, number, destination, deliveryId: crypto.randomUUID() };
    },
    /** @throws UserError where it can't be passed on, or is worth nothing any more */
    async sendChallenge({ actor, ...challenge }: Challenge & { actor: string }): Promise<DeliveryState> {
      const { destination, deliveryId: key } = challenge;
      const { project, config, send } = await open(destination);
      const message = await prepareChallenge(pool, vault, project, challenge, actor);
      if (message === null) {
        throw new UserError("the code has been answered, followed by another, or has expired", { key: "request" });
      }
      const { id, at, to, code, expiresAt } = message;
      const state = await send(
        config,
        { key, at, id, to, template: "identity_check", values: { code, expires_at: expiresAt } },
        { signal: Context.current().cancellationSignal, directory: project.directory },
      );
      await inTransaction(pool, (client) => settle(client, key, state));
      if (state === "unsupported") {
        throw new UserError("answers that it passes no messages on; name another destination", {
          key: `destinations.${destination}`,
        });
      }
      await noteChallengeSent(pool, challenge);
      return state;
    },
  };
}
