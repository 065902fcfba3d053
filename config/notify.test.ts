import { describe, expect, it } from "vitest";
import { CUSTOMERS, HEAD, openTestProject } from "./test-project.ts";

const { put, load, errors } = openTestProject();
const SECRET = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
const SOURCE = `${HEAD}sources: { files: { connector: csv, config: { path: a.csv } } }\n`;

describe("freshness", () => {
  it("of a stream is its source's, with its own keys laid over", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    await put(
      "miette.yaml",
      `${HEAD}sources:
  files:
    connector: csv
    config: { path: a.csv }
    freshness: { warn_after: 6h, error_after: 2d }
    streams:
      one: { schema: schemas/c.yaml }
      two: { schema: schemas/c.yaml, freshness: { warn_after: 90m } }
  others:
    connector: csv
    config: { path: b.csv }
    streams:
      one: { schema: schemas/c.yaml }
      two: { schema: schemas/c.yaml, freshness: { error_after: 30s } }
`,
    );
    expect((await load()).freshness).toEqual([
      { source: "files", stream: "one", warnAfter: 21_600, errorAfter: 172_800 },
      { source: "files", stream: "two", warnAfter: 5_400, errorAfter: 172_800 },
      { source: "others", stream: "two", warnAfter: null, errorAfter: 30 },
    ]);
  });

  it("with limits in the wrong order, or none, is told", async () => {
    await put("schemas/c.yaml", CUSTOMERS);
    await put(
      "miette.yaml",
      `${HEAD}sources:
  files:
    connector: csv
    config: { path: a.csv }
    freshness: { warn_after: 1d, error_after: 24h }
    streams:
      one: { schema: schemas/c.yaml, freshness: {} }
      two: { schema: schemas/c.yaml, freshness: { warn_after: 6 h } }
      three: { schema: schemas/c.yaml, freshness: { error_after: 3h } }
`,
    );
    expect(await errors()).toEqual([
      "miette.yaml:8 sources.files.freshness: warn_after must be shorter than error_after, as in warn_after: 6h, error_after: 24h.",
      "miette.yaml:10 sources.files.streams.one.freshness: must have at least 1 key: warn_after, error_after.",
      'miette.yaml:11 sources.files.streams.two.freshness.warn_after: "6 h" must be a whole number and s, m, h or d, as in 6h.',
      "miette.yaml:12 sources.files.streams.three.freshness: warn_after must be shorter than error_after, as in warn_after: 6h, error_after: 24h.",
    ]);
  });
});

describe("notify", () => {
  it("takes a webhook with its secret, and a mail server with the ports that are usual", async () => {
    await put(
      "miette.yaml",
      `${SOURCE}notify:
  webhook: { url: "\${HOOK}", secret: "\${SECRET}" }
  smtp: { host: smtp.shop.example, user: miette, password: "\${PASSWORD}", from: a@shop.example, to: [b@shop.example] }
`,
    );
    const { notify } = await load({ HOOK: "https://example.org/hook", SECRET, PASSWORD: "hunter2" });
    expect(notify).toEqual({
      webhook: { url: "https://example.org/hook", secret: SECRET },
      smtp: {
        host: "smtp.shop.example",
        port: 587,
        tls: "starttls",
        user: "miette",
        password: "hunter2",
        from: "a@shop.example",
        to: ["b@shop.example"],
      },
    });
    await put(
      "miette.yaml",
      `${SOURCE}notify: { smtp: { host: m, tls: implicit, from: a@shop.example, to: [b@shop.example] } }\n`,
    );
    expect((await load()).notify).toMatchObject({ webhook: null, smtp: { port: 465, user: null, password: null } });
  });

  it("is told what is wrong with it, and no value of it", async () => {
    await put(
      "miette.yaml",
      `${SOURCE}notify:
  webhook: { url: "ftp://hunter2", secret: hunter2 }
  smtp:
    host: smtp.shop.example
    tls: none
    user: hunter2
    from: hunter2
    to: []
`,
    );
    expect(await errors()).toEqual([
      "miette.yaml:6 notify.webhook.url: the value must be an http or https URL, as in ${ALERT_WEBHOOK}.",
      "miette.yaml:6 notify.webhook.secret: the value must be whsec_ and 24 to 64 bytes in base64, as in ${ALERT_WEBHOOK_SECRET}.",
      'miette.yaml:7 notify.smtp: the key "password" is missing, which user needs; add it, as in password: "${SMTP_PASSWORD}".',
      "miette.yaml:11 notify.smtp.from: the value must be an e-mail address, as in data-team@example.com.",
      "miette.yaml:12 notify.smtp.to: must have at least 1 entry, as in [data-team@example.com].",
    ]);
  });

  it.each(["smtp.shop.example", "127.0.0.1.shop.example", "10.0.0.1"])(
    "does not send mails to %s in the open",
    async (host) => {
      await put(
        "miette.yaml",
        `${SOURCE}notify: { smtp: { host: ${host}, tls: none, from: a@shop.example, to: [b@shop.example] } }\n`,
      );
      expect(await errors()).toEqual([
        "miette.yaml:5 notify.smtp.tls: mails to another machine must not travel in the open; write starttls or implicit.",
      ]);
    },
  );
});
