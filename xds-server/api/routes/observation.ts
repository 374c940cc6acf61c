/** What is served, and what each Envoy has: everything that only reads. */
import { Type } from "typebox";
import { ApiError } from "../api-error.ts";
import type { RouteContext, TypedApi } from "../api-server.ts";
import { described } from "../described.ts";
import { anything, diffAnswer, endpointsAnswer, nodesAnswer, statusAnswer } from "../schemas.ts";
import { isoTime, serverStatus } from "../server-status.ts";

const closed = { additionalProperties: false };

export function observationRoutes(api: TypedApi, { ports, version }: RouteContext): void {
  const { control } = ports;
  api.get("/metrics", { schema: described("state", "Prometheus metrics", anything) }, async (_request, reply) => {
    const { contentType, body } = await ports.metrics();
    return reply.header("content-type", contentType).serializer(String).send(body);
  });
  const all = described("state", "Snapshot, errors and Envoys in one document", anything);
  api.get("/snapshot", { schema: all }, async () => ({
    snapshot: control.snapshot("default") ?? null,
    loadedAt: isoTime(control.loadedAt()),
    configErrors: control.errors(),
    configWarnings: control.warnings(),
    nodes: ports.nodes(),
  }));
  const loads = described("state", "Loads of endpoints as they say themselves", anything);
  api.get("/loads", { schema: loads }, async () => ({ pools: ports.loads() }));
  const reports = described("state", "Loads of clusters, localities and endpoints as Envoys report them", anything);
  api.get("/api/v1/loads", { schema: reports }, async () => ports.loadReports());
  const cache = described("state", "Figures of the answer service", anything);
  api.get("/cache", { schema: cache }, async () => ports.cache());

  const status = described("state", "State of the server", statusAnswer);
  api.get("/api/v1/status", { schema: status }, async () => serverStatus(ports, version));
  const nodes = described(
    "state",
    "Connected Envoys, one entry per stream, and what Envoys rejected before",
    nodesAnswer,
  );
  api.get("/api/v1/nodes", { schema: nodes }, async () => ({
    nodes: ports.nodes(),
    earlierRejections: ports.earlierRejections(),
  }));

  const endpoints = {
    ...described("state", "Endpoints that are served", endpointsAnswer),
    querystring: Type.Object({ cluster: Type.Optional(Type.String({ maxLength: 512 })) }, closed),
  };
  api.get("/api/v1/endpoints", { schema: endpoints }, async ({ query }) => ({
    endpoints: control.endpoints(query.cluster),
  }));

  const group = Type.String({ maxLength: 253, description: "node group; `default` when absent" });
  const snapshot = {
    ...described("state", "The served snapshot of a node group, decoded, secrets hidden", anything, [404]),
    querystring: Type.Object({ group: Type.Optional(group) }, closed),
  };
  api.get("/api/v1/snapshot", { schema: snapshot }, async ({ query: { group: name = "default" } }) => {
    const view = control.snapshot(name);
    if (view !== undefined && view !== null) return view;
    throw new ApiError("TM_API_NOT_FOUND", `nothing is served to the group ${name}`);
  });

  const diff = described("state", "What would change if the configuration were loaded now", diffAnswer);
  api.get("/api/v1/diff", { schema: diff }, async () => ({ groups: control.diff({ put: [], remove: [] }) }));
}
