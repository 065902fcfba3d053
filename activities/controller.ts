import { statusBody } from "../domain/opendsr.ts";
import type { RequestKind } from "../domain/requests.ts";
import { postJson } from "../notify/webhook.ts";
import { signText } from "../warehouse/receipts.ts";
import { readRequest } from "../warehouse/requests/store.ts";
import type { Dependencies } from "./dependencies.ts";

/** What whoever handed a request over has to do with it. */
export function controllerActivities({ pool, vault, loadProject }: Dependencies) {
  return {
    readKind: async ({ requestId }: { requestId: string }): Promise<RequestKind> =>
      (await readRequest(pool, requestId)).kind,
    /**
     * Tells each callback of a request how it stands, signed, once.
     * @returns whether all were told
     */
    async tellController({ requestId }: { requestId: string }): Promise<boolean> {
      const { name } = await loadProject();
      const body = JSON.stringify(statusBody(await readRequest(pool, requestId)));
      const status = (JSON.parse(body) as { request_status: string }).request_status;
      const headers = {
        "x-opendsr-processor-domain": name,
        "x-opendsr-signature": await signText(pool, vault, body),
      };
      const { rows } = await pool.query<{ url: string }>(
        "select url from privacy.request_callbacks where request_id = $1 and told_status is distinct from $2 order by url",
        [requestId, status],
      );
      let isTold = true;
      for (const { url } of rows) {
        const answer = await postJson(url, body, headers).catch(() => 0);
        if (answer < 200 || answer >= 300) isTold = false;
        else {
          await pool.query(
            "update privacy.request_callbacks set told_status = $3, told_at = now() where request_id = $1 and url = $2",
            [requestId, url, status],
          );
        }
      }
      return isTold;
    },
  };
}
