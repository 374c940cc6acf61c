/**
 * Hears what is published on a channel, on a connection of its own (one that listens can do nothing else). Messages that come while it is not connected are lost:
 * whoever needs all of them looks by other means as well.
 */
import type { Cluster, Redis } from "ioredis";
import { connect, type RedisConnectionOptions } from "./connection.ts";

export class RedisSubscriber {
  readonly #client: Redis | Cluster;

  /**
   * @param heard called for every message, and whenever the channel is heard (again)
   * @throws ServerError TM_USAGE for what is no URL of Redis
   */
  constructor(options: Pick<RedisConnectionOptions, "url" | "cluster">, channel: string, heard: () => void) {
    this.#client = connect(options);
    // Its connection comes and goes like the one for calls, which says so.
    this.#client.on("error", () => {});
    this.#client.on("message", heard);
    this.#client.on("ready", () => {
      this.#client.subscribe(channel).then(heard, () => {});
    });
  }

  close(): void {
    this.#client.disconnect();
  }
}
