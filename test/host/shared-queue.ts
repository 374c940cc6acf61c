/**
 * Shared queues of one Envoy process. A name is registered per vm_id; the LAST registration receives proxy_on_queue_ready,
 * so with several workers only one of them hears of new items.
 */
import { Status } from "./abi.ts";

interface Queue {
  items: Uint8Array[];
  notify: () => void;
}

export class SharedQueues {
  readonly #tokens = new Map<string, number>();
  readonly #queues = new Map<number, Queue>();

  /** `notify` is posted, not called, when an item arrives. */
  register(vmId: string, name: string, notify: (token: number) => void): number {
    const key = `${vmId}\0${name}`;
    const token = this.#tokens.get(key) ?? this.#tokens.size + 1;
    this.#tokens.set(key, token);
    this.#queues.set(token, { items: this.#queues.get(token)?.items ?? [], notify: () => notify(token) });
    return token;
  }

  /** 0 when there is no such queue. */
  resolve(vmId: string, name: string): number {
    return this.#tokens.get(`${vmId}\0${name}`) ?? 0;
  }

  enqueue(token: number, item: Uint8Array): Status {
    const queue = this.#queues.get(token);
    if (!queue) return Status.NotFound;
    queue.items.push(item.slice());
    queue.notify();
    return Status.Ok;
  }

  dequeue(token: number): Uint8Array | Status {
    const queue = this.#queues.get(token);
    if (!queue) return Status.NotFound;
    return queue.items.shift() ?? Status.Empty;
  }

  length(token: number): number {
    return this.#queues.get(token)?.items.length ?? 0;
  }
}
