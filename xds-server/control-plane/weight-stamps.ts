/** A WeightOverlay as builders ask for it: with a stamp for each cluster, so that what has the same weights is not built again. */
import { type EndpointWeights, NO_WEIGHTS } from "../resources/index.ts";
import type { WeightOverlay } from "./overlays.ts";

export class WeightStamps {
  readonly #stamps = new Map<string, number>();
  readonly weights: EndpointWeights;

  constructor(overlay: WeightOverlay | undefined) {
    this.weights =
      overlay === undefined
        ? NO_WEIGHTS
        : {
            weightOf: (cluster, address, port) => overlay.weightOf(cluster, address, port),
            stampOf: (cluster) => this.#stamps.get(cluster) ?? 0,
          };
  }

  changed(clusters: Iterable<string>): void {
    for (const cluster of clusters) this.#stamps.set(cluster, (this.#stamps.get(cluster) ?? 0) + 1);
  }
}
