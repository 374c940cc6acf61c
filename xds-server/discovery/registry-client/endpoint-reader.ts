/** Reads the instances of one service, and says in the log, once, which are left out and why. */
import type { MetadataMapping } from "../../config/discovery-model.ts";
import type { SourceContext } from "../context.ts";
import { type RawEndpoint, readEndpoints } from "../endpoint.ts";
import type { DiscoveredEndpoint } from "../source.ts";

export class EndpointReader {
  readonly #service: string;
  readonly #mapping: MetadataMapping;
  readonly #context: SourceContext;
  /** What was said last: a registry is asked again and again, and is wrong in the same way each time. */
  #said = "";

  constructor(service: string, mapping: MetadataMapping, context: SourceContext) {
    this.#service = service;
    this.#mapping = mapping;
    this.#context = context;
  }

  /** @throws DiscoveryError as {@link readEndpoints} */
  read(instances: readonly RawEndpoint[]): readonly DiscoveredEndpoint[] {
    const { endpoints, skipped, reasons } = readEndpoints(instances, this.#mapping);
    const saying = reasons.join(", ");
    if (saying !== "" && saying !== this.#said) {
      const { name: source, log } = this.#context;
      log("warn", "instances were left out", { source, service: this.#service, skipped, reasons });
    }
    this.#said = saying;
    return endpoints;
  }
}
