import type { Command } from "commander";

interface Module {
  load(): Promise<(program: Command) => void>;
  /** The commands that it brings, and what each does. */
  commands: Record<string, string>;
}

/** Every command, without the code behind it: that takes seconds to load, and one command needs only its own. */
const MODULES: Module[] = [
  {
    load: async () => (await import("./up.ts")).registerUp,
    commands: {
      start: "bring everything up, run the pipeline, and stay up until Ctrl-C",
      up: "bring the servers and the worker up, and stay until Ctrl-C",
      down: "stop the servers and the worker of this home",
    },
  },
  {
    load: async () => (await import("./status.ts")).registerStatus,
    commands: {
      status: "where the servers, each stream and the mart stand",
    },
  },
  {
    load: async () => (await import("./doctor.ts")).registerDoctor,
    commands: {
      doctor: "what is wrong with the set-up, and how to mend it",
    },
  },
  {
    load: async () => (await import("./init.ts")).registerInit,
    commands: {
      init: "make a new project: miette.yaml, an example source with its schemas and staging models",
    },
  },
  {
    load: async () => (await import("./generate.ts")).registerGenerate,
    commands: {
      generate: "make a project with seeded data of any size, or add changed and new records to one made before",
    },
  },
  {
    load: async () => (await import("./discover.ts")).registerDiscover,
    commands: {
      discover: "propose streams, schemas, keys and personal labels for a source that miette.yaml declares",
    },
  },
  {
    load: async () => (await import("./sync.ts")).registerSync,
    commands: {
      sync: "land what is new: of all sources, of one, or of one stream",
    },
  },
  {
    load: async () => (await import("./build.ts")).registerBuild,
    commands: {
      build: "compute the models that have work, check them, and publish them at once",
      plan: "show what a build would compute, and why, without doing it",
      check: "run every check against the published mart",
    },
  },
  {
    load: async () => (await import("./backup.ts")).registerBackup,
    commands: {
      backup: "write the warehouse's state to two files, the data and the vault, from one moment, while all goes on",
    },
  },
  {
    load: async () => (await import("./restore.ts")).registerRestore,
    commands: {
      restore: "bring back the data of a backup with the newest vault, and build the mart anew",
    },
  },
  {
    load: async () => (await import("./lineage.ts")).registerLineage,
    commands: {
      lineage: "what a relation or a column is made of, and what is made of it",
    },
  },
  {
    load: async () => (await import("./run.ts")).registerRun,
    commands: {
      run: "one run of the pipeline: sync every source, build the models, check them",
    },
  },
  {
    load: async () => (await import("./schedules.ts")).registerSchedules,
    commands: {
      schedules: "what runs when, in Temporal",
    },
  },
  {
    load: async () => (await import("./quarantine.ts")).registerQuarantine,
    commands: {
      quarantine: "records that break their schema",
    },
  },
  {
    load: async () => (await import("./query.ts")).registerQuery,
    commands: {
      query: "run one SQL statement as the analyst, who reads the mart",
      export: "write a relation of the mart to a file or to standard output",
    },
  },
  {
    load: async () => (await import("./report.ts")).registerReport,
    commands: {
      report: "write the report: one HTML file, to look at, to send, to print",
    },
  },
  {
    load: async () => (await import("./schema.ts")).registerSchema,
    commands: {
      schema: "fields that no schema declares, and so are sealed",
    },
  },
  {
    load: async () => (await import("./identity.ts")).registerIdentity,
    commands: {
      identity: "who is who, and why",
    },
  },
  {
    load: async () => (await import("./segment.ts")).registerSegment,
    commands: {
      segment: "sets of customers, one file of sql/segments each",
    },
  },
  {
    load: async () => (await import("./audit.ts")).registerAudit,
    commands: {
      audit: "who did what to whom, and why: insert-only and chained",
    },
  },
  {
    load: async () => (await import("./keys.ts")).registerKeys,
    commands: {
      keys: "the generations of the keys that wrap all others",
    },
  },
  {
    load: async () => (await import("./api.ts")).registerApi,
    commands: {
      api: "take people's requests by HTTP, in the shapes of OpenDSR, until Ctrl-C",
    },
  },
  {
    load: async () => (await import("./clock.ts")).registerClock,
    commands: {
      clock: "by when people's requests have to be answered: list, confirm receipt, extend",
    },
  },
  {
    load: async () => (await import("./consent.ts")).registerConsent,
    commands: {
      consent: "what people have allowed and forbidden: note what somebody said, show what holds",
    },
  },
  {
    load: async () => (await import("./reveal.ts")).registerReveal,
    commands: {
      reveal: "open what is sealed of one customer, in plain text; it goes into the audit",
      token: "the token by which SQL knows an identifier; it goes into the audit",
    },
  },
  {
    load: async () => (await import("./codec.ts")).registerCodec,
    commands: {
      codec: "let Temporal's web interface show sealed payloads, to one browser, until Ctrl-C",
    },
  },
  {
    load: async () => (await import("./request.ts")).registerRequest,
    commands: {
      request: "what people ask for about their data, and what becomes of it",
    },
  },
  {
    load: async () => (await import("./request.ts")).registerRequests,
    commands: {
      requests: "all requests of people, and where each stands",
    },
  },
  {
    load: async () => (await import("./hold.ts")).registerHold,
    commands: {
      hold: "what is kept whoever asks for its erasure: by hand for one person, and what erasures have set aside",
    },
  },
  {
    load: async () => (await import("./retention.ts")).registerRetention,
    commands: {
      retention: "what is past its age: show it, take it out, list what was",
    },
  },
  {
    load: async () => (await import("./breach.ts")).registerBreach,
    commands: {
      breach: "whom a leak touches: a batch, a recipient, the keys of a generation",
    },
  },
  {
    load: async () => (await import("./receipt.ts")).registerReceipt,
    commands: {
      receipt: "what proves that requests were carried out: print it, check it",
    },
  },
];

/** Makes all commands known by name, and the one that is asked for able to run. */
export async function registerCommands(program: Command, asked: string | undefined): Promise<void> {
  for (const { load, commands } of MODULES) {
    if (asked !== undefined && Object.hasOwn(commands, asked)) (await load())(program);
    for (const [name, description] of Object.entries(commands)) {
      const known = program.commands.find((command) => command.name() === name);
      (known ?? program.command(name)).description(description);
    }
  }
}
