/** ECDS resources of filters: the filter's own, that of its attempt filter and that of the filter of the connection. */
import { TypeUrl } from "../../protos/index.ts";
import { createResource, type Resource } from "../cache/index.ts";
import {
  attemptFilterConfig,
  attemptFilterName,
  type BuiltFilter,
  filterClusters,
  filterConfig,
  filterInputs,
  filterName,
  filterSecrets,
  needsAttemptFilter,
} from "./filters.ts";
import type { ResourceMemo } from "./resource-memo.ts";
import { needsStreamEnd, streamEndConfig, streamEndName } from "./stream-end.ts";

/** By name. The filter names clusters, and no route does for it: the header route takes any cluster of the router. So the references are the filter's. */
export function filterResources(filters: readonly BuiltFilter[], memo: ResourceMemo): ReadonlyMap<string, Resource> {
  const resources = new Map<string, Resource>();
  for (const built of filters) {
    const { filter } = built;
    const name = filterName(built);
    const inputs = filterInputs(built);
    resources.set(
      name,
      memo.resource(`ECDS ${name}`, inputs, () =>
        createResource(
          TypeUrl.extensionConfig,
          name,
          filterConfig(built),
          filterClusters(built),
          filterSecrets(filter),
        ),
      ),
    );
    const streamEnd = streamEndName(built);
    if (needsStreamEnd(filter)) {
      const make = () => createResource(TypeUrl.extensionConfig, streamEnd, streamEndConfig(built));
      resources.set(streamEnd, memo.resource(`ECDS ${streamEnd}`, inputs, make));
    }
    const attempt = attemptFilterName(built);
    if (!needsAttemptFilter(filter) || resources.has(attempt)) continue;
    const make = () => createResource(TypeUrl.extensionConfig, attempt, attemptFilterConfig(built));
    resources.set(attempt, memo.resource(`ECDS ${attempt}`, inputs, make));
  }
  return resources;
}
