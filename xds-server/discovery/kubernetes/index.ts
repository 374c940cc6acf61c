/** Service discovery from Kubernetes. */
import { ApiError } from "../../kubernetes/index.ts";
import type { SourceFactory } from "../context.ts";
import { apiFailure } from "./failure.ts";
import { KubernetesSource } from "./source.ts";

/** @throws DiscoveryError for a DiscoverySource of another kind */
export const kubernetesSource: SourceFactory = (spec, context) => {
  if (spec.kubernetes === undefined) throw apiFailure(new ApiError("credentials", `${context.name} has no kubernetes`));
  return new KubernetesSource(spec.kubernetes, spec.metadata, context);
};
