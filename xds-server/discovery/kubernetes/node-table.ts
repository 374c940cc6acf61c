/**
 * Where nodes are. Reading them takes a right for the whole cluster, which not everybody gets: without it endpoints have the zone that their EndpointSlice names, and nothing
 * else changes.
 */
import { type ApiClient, type ApiError, Reflector, type Timing } from "../../kubernetes/index.ts";
import { type Node, readNode, sameNode } from "./objects.ts";

export interface NodeTableOptions {
  readonly client: ApiClient;
  readonly timing: Timing;
  changed(): void;
  /** The API server refuses; told once. */
  denied(error: ApiError): void;
  failed(error: ApiError): void;
}

export class NodeTable {
  readonly #reflector: Reflector<Node> | undefined;
  #denied = false;
  #failing = false;

  /** @param options undefined: nodes are not to be read */
  constructor(options: NodeTableOptions | undefined) {
    this.#reflector =
      options &&
      new Reflector<Node>({
        client: options.client,
        timing: options.timing,
        path: "/api/v1/nodes",
        metadataOnly: true,
        read: readNode,
        same: sameNode,
        changed: () => {
          this.#failing = false;
          options.changed();
        },
        failed: (error) => this.#failed(error, options),
      });
  }

  /** What can be known is known. */
  get ready(): boolean {
    return this.#denied || (this.#reflector?.synced ?? true);
  }

  get nodes(): ReadonlyMap<string, Node> {
    return this.#reflector?.objects ?? new Map();
  }

  async close(): Promise<void> {
    await this.#reflector?.close();
  }

  #failed(error: ApiError, { failed, denied, changed }: NodeTableOptions): void {
    if (!error.denied) {
      this.#failing = true;
      failed(error);
      return;
    }
    if (!this.#denied) denied(error);
    // To be refused is an answer: what endpoints can have without nodes, they have.
    const news = !this.#denied || this.#failing;
    this.#denied = true;
    this.#failing = false;
    if (news) changed();
  }
}
