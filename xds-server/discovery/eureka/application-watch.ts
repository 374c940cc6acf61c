/** Those who watch one application, and what they were told. */
import type { MetadataMapping } from "../../config/discovery-model.ts";
import type { Clock } from "../clock.ts";
import type { SourceContext } from "../context.ts";
import type { RawEndpoint } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import { EndpointReader, RemovalHold, ServiceObservers } from "../registry-client/index.ts";
import type { DiscoveredEndpoint } from "../source.ts";

export class ApplicationWatch {
  readonly observers = new ServiceObservers();
  readonly #reader: EndpointReader;
  readonly #clock: Clock;
  readonly #hold: RemovalHold;
  #current: readonly RawEndpoint[] = [];
  /** What was told last, while it is still what there is to tell. */
  #told: readonly DiscoveredEndpoint[] | undefined;
  #stopHold = () => {};

  constructor(name: string, mapping: MetadataMapping, context: SourceContext, graceMs: number) {
    this.#reader = new EndpointReader(name, mapping, context);
    this.#clock = context.clock;
    this.#hold = new RemovalHold(graceMs);
  }

  /** What is missing from the next answer may only not be known again yet. */
  doubt(): void {
    this.#told = undefined;
    this.#hold.doubt(this.#clock.now());
  }

  /** The server says that an instance has gone. */
  gone(id: string): void {
    this.#hold.gone(id);
  }

  /** @param instances undefined when they are the same as before; then it is O(1) */
  tell(instances: readonly RawEndpoint[] | undefined): void {
    if (instances !== undefined) this.#current = instances;
    else if (this.#told !== undefined) {
      this.observers.endpoints(this.#told);
      return;
    }
    const held = this.#hold.apply(this.#current, this.#clock.now());
    this.#stopHold();
    const { deadline } = this.#hold;
    this.#stopHold =
      deadline === undefined
        ? () => {}
        : this.#clock.after(deadline - this.#clock.now(), () => this.tell(this.#current));
    this.#told = undefined;
    try {
      const told = this.#reader.read(held);
      if (deadline === undefined) this.#told = told;
      this.observers.endpoints(told);
    } catch (error) {
      if (!(error instanceof DiscoveryError)) throw error;
      this.observers.failed(error);
    }
  }

  /** The end of a grace period is no news while nobody can say what there is. */
  failed(error: DiscoveryError): void {
    this.#stopHold();
    this.#told = undefined;
    this.observers.failed(error);
  }

  end(): void {
    this.observers.clear();
    this.#stopHold();
  }
}
