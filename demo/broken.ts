import { SHOP_URL } from "./events.ts";

/** Records that are broken on purpose. Each must end in quarantine; none is counted anywhere else. */
export interface Broken {
  stream: string;
  what: string;
  /** The line as it stands in the file. */
  line: string;
}

/** The broken lines of a generation whose last day is `day` (`2026-11-23`). */
export function brokenRecords(day: string): Broken[] {
  const event = {
    event: "page_viewed",
    occurred_at: `${day}T09:00:00.000Z`,
    device_id: "broken-device",
    ip: "192.0.2.1",
    page_url: `${SHOP_URL}/`,
  };
  const json = (id: string, fields: object) => JSON.stringify({ event_id: id, ...event, ...fields });
  return [
    { stream: "web.events", what: "half a line", line: json("broken-1", {}).slice(0, 70) },
    {
      stream: "web.events",
      what: "a month that does not exist",
      line: json("broken-2", { occurred_at: `${day.slice(0, 4)}-13-45T09:00:00.000Z` }),
    },
    { stream: "web.events", what: "a word where a number belongs", line: json("broken-3", { user_id: "guest" }) },
    { stream: "web.events", what: "no key", line: JSON.stringify(event) },
    { stream: "reviews.reviews", what: "a row of four fields", line: "r-broken-1,17,HEA-001,Alex" },
    {
      stream: "reviews.reviews",
      what: "a word where a number belongs",
      line: `r-broken-2,17,HEA-001,Alex,alex@mail.example,five,en,Great,Great sound,${day}T09:00:00.000Z`,
    },
    {
      stream: "reviews.reviews",
      what: "no date",
      line: "r-broken-3,17,HEA-001,Alex,alex@mail.example,4,en,Good,Good sound,yesterday evening",
    },
    {
      stream: "ads.spend",
      what: "a day that does not exist",
      line: `31/02/${day.slice(0, 4)},meta,new-sound,instagram,paid_social,1200,31,17.05,EUR,${day}T03:00:00.000Z`,
    },
    {
      stream: "ads.spend",
      what: "a word where a number belongs",
      line: `${day},meta,broken,instagram,paid_social,1200,31,n/a,EUR,${day}T03:00:00.000Z`,
    },
    {
      stream: "newsletter.consents",
      what: "neither of the two answers",
      line: `n-broken-1,alex@mail.example,perhaps,marketing,${day}T09:00:00.000Z,FR`,
    },
  ];
}
