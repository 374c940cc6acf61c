/** Shapes of bodies and answers: what is checked on the way in, and what GET /openapi.json says. */
import { type Static, Type } from "typebox";
import { MAX_WEIGHT, MAX_WEIGHT_CHANGES } from "./limits.ts";

const closed = { additionalProperties: false } as const;

export const errorDetail = Type.Object({
  code: Type.Optional(Type.String()),
  message: Type.String(),
  remedy: Type.Optional(Type.String()),
  file: Type.Optional(Type.String({ description: "where it stands: a file, or the body of the request" })),
  line: Type.Optional(Type.Integer()),
  column: Type.Optional(Type.Integer()),
  field: Type.Optional(Type.String()),
  node: Type.Optional(Type.String({ description: "id of the Envoy" })),
  resources: Type.Optional(Type.Array(Type.String())),
  earlier: Type.Optional(Type.Boolean({ description: "a rejection of an Envoy whose stream is over" })),
  awaySince: Type.Optional(Type.String({ description: "since when that Envoy is not connected" })),
});

/** Names under which routes refer to shapes that many of them have. */
export const ERROR_SCHEMA = "Error";

export const errorAnswer = Type.Object(
  {
    error: Type.Object({
      code: Type.String({ description: "of docs/errors.md" }),
      message: Type.String(),
      remedy: Type.String(),
      details: Type.Array(errorDetail),
    }),
  },
  { $id: ERROR_SCHEMA, description: "An error; changes that happened nevertheless stand beside it." },
);

const weightChange = Type.Object(
  {
    cluster: Type.String({ minLength: 1, maxLength: 512, description: "name of the Envoy cluster" }),
    address: Type.String({
      minLength: 1,
      maxLength: 512,
      description: "as GET /api/v1/endpoints shows it: an IP address, or unix:///path with port 0",
    }),
    port: Type.Integer({ minimum: 0, maximum: 65_535 }),
    weight: Type.Union([Type.Integer({ minimum: 0, maximum: MAX_WEIGHT }), Type.Null()], {
      description: "0 drains the endpoint; null takes back what was set",
    }),
  },
  closed,
);

export const weightChanges = Type.Object(
  { changes: Type.Array(weightChange, { minItems: 1, maxItems: MAX_WEIGHT_CHANGES }) },
  closed,
);

export const waiting = {
  wait: Type.Optional(Type.Literal("acked", { description: "answer when every connected Envoy has accepted it" })),
  timeout: Type.Optional(
    Type.String({ maxLength: 16, description: "how long to wait: 10s, 500ms, 2m, or milliseconds; 10s by default" }),
  ),
};

export const waitQuery = Type.Object(waiting, closed);
export type WaitQuery = Static<typeof waitQuery>;

const acknowledged = Type.Optional(Type.Object({ outcome: Type.Literal("acked"), nodes: Type.Integer() }));

export const weightsAnswer = Type.Object({
  version: Type.String({ description: "of the endpoints (EDS) that are in force with it" }),
  snapshot: Type.String({ description: "of everything" }),
  changes: Type.Integer(),
  wait: acknowledged,
});

export const appliedAnswer = Type.Object({
  versions: Type.Record(Type.String(), Type.String(), { description: "of the snapshot, by group" }),
  documents: Type.Array(
    Type.Object({
      identity: Type.String({ description: "KIND/namespace/name" }),
      result: Type.Enum(["created", "configured", "unchanged", "deleted"]),
      resourceVersion: Type.Optional(Type.String()),
    }),
  ),
  warnings: Type.Array(errorDetail),
  wait: acknowledged,
});

export const validateAnswer = Type.Object({
  valid: Type.Boolean(),
  documents: Type.Integer(),
  errors: Type.Array(errorDetail),
  warnings: Type.Array(errorDetail),
});

const typeDiff = Type.Object({
  added: Type.Array(Type.String()),
  changed: Type.Array(Type.String()),
  removed: Type.Array(Type.String()),
});

export const diffAnswer = Type.Object({
  groups: Type.Record(Type.String(), Type.Record(Type.String(), typeDiff)),
});

const groupView = Type.Object({
  group: Type.String(),
  version: Type.String(),
  types: Type.Record(Type.String(), Type.Object({ version: Type.String(), resources: Type.Integer() })),
});

const nodeView = Type.Object({
  id: Type.String(),
  cluster: Type.String(),
  dynamicParameters: Type.Optional(
    Type.Record(Type.String(), Type.Record(Type.String(), Type.String()), { description: "of the node, by type URL" }),
  ),
  group: Type.String(),
  peer: Type.String(),
  connectedSince: Type.String(),
  settled: Type.Boolean({ description: "it accepted everything that is served to it" }),
  types: Type.Record(Type.String(), Type.Object({ state: Type.String(), ackedVersion: Type.String() })),
});

const earlierRejection = Type.Object({
  node: Type.String(),
  cluster: Type.String(),
  group: Type.String(),
  type: Type.String(),
  version: Type.String(),
  resources: Type.Array(Type.String()),
  message: Type.String(),
  at: Type.String(),
  awaySince: Type.Optional(Type.String({ description: "absent when the Envoy is back and has not answered yet" })),
});

export const statusAnswer = Type.Object({
  ready: Type.Boolean(),
  version: Type.String({ description: "of the program" }),
  loadedAt: Type.Union([Type.String(), Type.Null()]),
  groups: Type.Array(groupView),
  nodes: Type.Object({ connected: Type.Integer(), synced: Type.Integer(), nacked: Type.Integer() }),
  nacks: Type.Array(errorDetail),
  configErrors: Type.Array(errorDetail),
  configWarnings: Type.Array(errorDetail),
  state: Type.Optional(
    Type.Object(
      {
        kind: Type.String(),
        ready: Type.Boolean({ description: "it has said what it holds since the start" }),
        available: Type.Boolean(),
        awaySince: Type.Optional(Type.String()),
        reason: Type.Optional(Type.String()),
        unread: Type.Optional(Type.Array(Type.String(), { description: "kinds of records that cannot be read" })),
        effect: Type.Optional(Type.String({ description: "what still works and what does not" })),
      },
      { description: "of the state store" },
    ),
  ),
});

export const endpointsAnswer = Type.Object({
  endpoints: Type.Array(
    Type.Object({
      cluster: Type.String(),
      address: Type.String(),
      port: Type.Integer(),
      weight: Type.Integer(),
      health: Type.String(),
      locality: Type.String(),
    }),
  ),
});

/** Judged by the registry itself, which says all that is wrong with it. */
export const instanceBody = Type.Unsafe<unknown>({
  type: "object",
  properties: {
    address: { type: "string", description: "IP address" },
    port: { type: "integer" },
    weight: { type: "integer", description: "0 drains; 1 by default" },
    ttl: { type: "integer", description: "seconds; 30 by default" },
    health: { type: "string" },
    locality: { type: "object", description: "region, zone, subZone" },
    labels: { type: "object", description: "texts by name" },
  },
});

export const nodesAnswer = Type.Object({
  nodes: Type.Array(nodeView),
  earlierRejections: Type.Array(earlierRejection, {
    description: "of Envoys whose streams are over, until they accept the type or have been away for an hour",
  }),
});
export const weightsList = Type.Object({ changes: Type.Array(weightChange) });
export const rollbackAnswer = Type.Object({ group: Type.String(), version: Type.String() });
/** A document or a decoded snapshot: its shape is the kind's, or Envoy's. */
export const anything = Type.Unknown();
