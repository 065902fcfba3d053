import { receiveWebhooks, WEBHOOK_SECRET } from "../../test/webhook-receiver.ts";

/** A receiver on loopback that checks signatures. */
export async function prepare() {
  const receiver = await receiveWebhooks();
  const config = { url: receiver.url, secret: WEBHOOK_SECRET };
  const wrong = `whsec_${Buffer.from("another secret of 24 bytes").toString("base64")}`;
  const secrets = ["hunter2", WEBHOOK_SECRET, wrong, "p9@shop.example"];
  return {
    config,
    failures: [
      {
        title: "another secret",
        config: { ...config, secret: wrong },
        message: /refused its credentials with status 401/,
        secrets,
      },
      {
        title: "nobody listens",
        config: { ...config, url: "http://127.0.0.1:1/crm?token=hunter2" },
        message: /can't be reached/,
        secrets,
      },
      {
        title: "where clouds give out credentials",
        config: { ...config, url: "https://169.254.169.254/latest?token=hunter2" },
        message: /leads into a private network/,
        secrets,
      },
      {
        title: "the same in the clothes of IPv6",
        config: { ...config, url: "https://[::ffff:169.254.169.254]/?token=hunter2" },
        message: /leads into a private network/,
        secrets,
      },
    ],
    audience: () => Promise.resolve([...receiver.audience.keys()].toSorted()),
    keeps: (id: string) => Promise.resolve(JSON.stringify(receiver.audience.get(id) ?? null)),
    close: () => receiver.close(),
  };
}
