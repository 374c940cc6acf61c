/** Weights of endpoints at run time: set here, they win over those of the configuration until they are taken back. */
import { ApiError, type ErrorDetail } from "../api-error.ts";
import type { RouteContext, TypedApi } from "../api-server.ts";
import { described } from "../described.ts";
import type { ControlPort, WeightChange, WeightStore } from "../ports.ts";
import { waitQuery, weightChanges, weightsAnswer, weightsList } from "../schemas.ts";
import { waitOf } from "../waiting.ts";

export function weightRoutes(api: TypedApi, { ports, changes }: RouteContext): void {
  const { control, weights } = ports;
  const list = described("weights", "Weights that were set", weightsList);
  api.get("/api/v1/weights", { schema: list }, async () => ({ changes: weights.list() }));

  const set = {
    ...described(
      "weights",
      "Set weights, all or none; answered when they are in force",
      weightsAnswer,
      [422, 503, 504],
    ),
    body: weightChanges,
    querystring: waitQuery,
  };
  api.put("/api/v1/weights", { schema: set }, async (request) => {
    const wait = waitOf(request);
    const { changes: wanted } = request.body;
    return changes.other(async () => {
      refuseUnknown(wanted, control, weights);
      await weights.set(wanted);
      await control.flush();
      const group = control.groups().find((each) => each.group === "default") ?? control.groups()[0];
      if (group === undefined) throw new ApiError("TM_API_NOT_READY", "the weights are stored; nothing is served yet");
      return { version: group.types.EDS?.version ?? "", snapshot: group.version, changes: wanted.length };
    }, wait);
  });
}

/**
 * A misspelled cluster would be a weight that never counts. One that is to be taken back may be for an endpoint that is gone.
 * @throws ApiError TM_API_UNKNOWN_ENDPOINT
 */
function refuseUnknown(wanted: readonly WeightChange[], control: ControlPort, weights: WeightStore): void {
  let set: ReadonlySet<string> | undefined;
  const details: ErrorDetail[] = [];
  wanted.forEach((change, index) => {
    const { cluster, address, port, weight } = change;
    if (weight === null) return;
    const isServed = control.hasEndpoint(cluster, address, port);
    if (isServed) return;
    // All that was ever set, which may be thousands: looked at for endpoints that are gone only.
    set ??= new Set(weights.list().map(keyOf));
    if (set.has(keyOf(change))) return;
    const what =
      isServed === undefined ? `there is no cluster ${cluster}` : `the cluster has no endpoint ${address}:${port}`;
    details.push({ field: `/changes/${index}`, message: what });
  });
  if (details.length === 0) return;
  const what = details.length === 1 ? "1 change is" : `${details.length} changes are`;
  throw new ApiError("TM_API_UNKNOWN_ENDPOINT", `${what} for nothing that is served`, { details });
}

function keyOf({ cluster, address, port }: { cluster: string; address: string; port: number }): string {
  return `${cluster}\0${address}\0${port}`;
}
