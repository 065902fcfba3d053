import { figure, type Section } from "../figure.ts";

type Stream = {
  stream: string;
  status: string;
  finished_at: string | null;
  hours_ago: number | null;
  rows_read: number;
  landed: number;
  rejected: number;
};
type Rejected = { stream: string; reason: string; records: number; last_seen: string };

export const freshness: Section = {
  id: "freshness",
  title: { en: "Freshness and quarantine", fr: "Fraîcheur et quarantaine" },
  lead: {
    en: "When each stream last came in, and which records were set aside because they break their schema.",
    fr: "Quand chaque flux est arrivé pour la dernière fois, et quels enregistrements ont été mis de côté car contraires à leur schéma.",
  },
  figures: [
    figure<Stream>({
      id: "streams",
      title: { en: "Last sync of each stream", fr: "Dernière synchronisation de chaque flux" },
      reader: "owner",
      sql: `
select distinct on (source, stream)
    source || '.' || stream as stream,
    status,
    to_char(finished_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as finished_at,
    (extract(epoch from now() - finished_at) / 3600)::float8 as hours_ago,
    rows_read::float8 as rows_read,
    (inserted + updated)::float8 as landed,
    rejected::float8 as rejected
from ops.syncs
order by source, stream, started_at desc`,
      columns: {
        stream: { label: { en: "Stream", fr: "Flux" }, as: "text" },
        status: { label: { en: "Status", fr: "État" }, as: "name" },
        finished_at: { label: { en: "Finished", fr: "Terminée" }, as: "instant" },
        hours_ago: { label: { en: "Hours ago", fr: "Il y a (heures)" }, as: "decimal" },
        rows_read: { label: { en: "Read", fr: "Lus" }, as: "count" },
        landed: { label: { en: "Landed", fr: "Chargés" }, as: "count" },
        rejected: { label: { en: "Set aside", fr: "Mis de côté" }, as: "count" },
      },
      empty: {
        en: "No stream was synced yet. Declare a source in miette.yaml, then start miette run.",
        fr: "Aucun flux n’a encore été synchronisé. Déclarez une source dans miette.yaml, puis lancez miette run.",
      },
    }),
    figure<Rejected>({
      id: "quarantine",
      title: { en: "Records in quarantine", fr: "Enregistrements en quarantaine" },
      reader: "owner",
      sql: `
select
    source || '.' || stream as stream,
    reason,
    count(*)::float8 as records,
    to_char(max(last_seen_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as last_seen
from ops.quarantine
group by source, stream, reason
order by records desc, stream, reason
limit 100`,
      columns: {
        stream: { label: { en: "Stream", fr: "Flux" }, as: "text" },
        reason: { label: { en: "Reason", fr: "Raison" }, as: "text" },
        records: { label: { en: "Records", fr: "Enregistrements" }, as: "count" },
        last_seen: { label: { en: "Last seen", fr: "Vu en dernier" }, as: "instant" },
      },
      empty: {
        en: "Nothing is in quarantine: every record fits its schema.",
        fr: "Rien en quarantaine : chaque enregistrement est conforme à son schéma.",
      },
    }),
  ],
};
