/**
 * Rejections by node, type and resource. They outlive their stream: an Envoy that rejects a configuration and is restarted, or loses its connection, has still
 * rejected it, until it accepts the type again. Those of a node that stays away are forgotten in the end.
 */
import { type NodeIdentity, TYPE_NAMES } from "../cache/index.ts";
import type { Nack } from "../stream/index.ts";
import { MAX_NACKS, NACK_MEMORY_MS } from "./limits.ts";

export interface NackEntry {
  readonly node: string;
  readonly cluster: string;
  readonly group: string;
  /** CDS, EDS, ... */
  readonly type: string;
  readonly resource: string;
  /** Of the rejected response. */
  readonly version: string;
  /** `google.rpc.Code`. */
  readonly code: number;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** A rejection that no open stream shows any more: of an Envoy that went away, or that came back and has not answered for the type since. */
export interface EarlierNack extends Omit<NackEntry, "resource"> {
  readonly resources: readonly string[];
  /** When its last stream ended, milliseconds since the epoch; undefined while it is connected. */
  readonly awaySince: number | undefined;
}

interface Shown {
  readonly node: NodeIdentity;
  readonly watches: ReadonlyMap<string, { readonly nack: Nack | undefined }>;
}

export class NackRegistry {
  readonly #maxEntries: number;
  readonly #entries = new Map<string, NackEntry>();
  /** Resources with an entry by node and type, so that an ACK need not look at all entries; the oldest first. */
  readonly #byWatch = new Map<string, ReadonlySet<string>>();
  readonly #streams = new Map<string, number>();
  /** Nodes with entries and without stream: since when. */
  readonly #away = new Map<string, number>();

  constructor(maxEntries = MAX_NACKS) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  entries(): readonly NackEntry[] {
    return [...this.#entries.values()];
  }

  /**
   * Until they are answered or expire, the oldest first. O(streams + rejections).
   * @param streams those that are open
   * @param now milliseconds since the epoch
   */
  earlier(streams: Iterable<Shown>, now: number): readonly EarlierNack[] {
    const shown = new Set<string>();
    for (const { node, watches } of streams) {
      for (const [typeUrl, { nack }] of watches) if (nack !== undefined) shown.add(`${node.id}\0${typeUrl}`);
    }
    const earlier: EarlierNack[] = [];
    for (const [watch, resources] of this.#byWatch) {
      const [first = ""] = resources;
      const entry = this.#entries.get(`${watch}\0${first}`);
      if (entry === undefined || shown.has(watch)) continue;
      const awaySince = this.#away.get(entry.node);
      if (awaySince !== undefined && now - awaySince >= NACK_MEMORY_MS) continue;
      const { resource: _, ...rest } = entry;
      earlier.push({ ...rest, resources: [...resources], awaySince });
    }
    return earlier;
  }

  /** Takes over what a stream knows of a type after an answer of the client: `nack` is what is open, undefined when nothing is. */
  answered(node: NodeIdentity, group: string, typeUrl: Nack["typeUrl"], nack: Nack | undefined): void {
    // Nearly always; an ACK is not to cost a key.
    if (nack === undefined && this.#byWatch.size === 0) return;
    const watch = `${node.id}\0${typeUrl}`;
    const before = this.#byWatch.get(watch);
    if (before === undefined && nack === undefined) return;
    this.#drop(watch, before ?? []);
    if (nack === undefined) return;
    this.#byWatch.set(watch, new Set(nack.resources));
    for (const resource of nack.resources) {
      this.#entries.set(`${watch}\0${resource}`, {
        node: node.id,
        cluster: node.cluster,
        group,
        type: TYPE_NAMES[typeUrl],
        resource,
        version: nack.version,
        code: nack.code,
        message: nack.message,
        at: nack.at,
      });
    }
    for (const [oldest, resources] of this.#byWatch) {
      if (this.#entries.size <= this.#maxEntries) break;
      this.#drop(oldest, resources);
      this.#away.delete(oldest.slice(0, oldest.lastIndexOf("\0")));
    }
  }

  #drop(watch: string, resources: Iterable<string>): void {
    this.#byWatch.delete(watch);
    for (const resource of resources) this.#entries.delete(`${watch}\0${resource}`);
  }

  connected(nodeId: string, now: number): void {
    this.#streams.set(nodeId, (this.#streams.get(nodeId) ?? 0) + 1);
    this.#away.delete(nodeId);
    this.#forget(now);
  }

  disconnected(nodeId: string, now: number): void {
    const left = (this.#streams.get(nodeId) ?? 1) - 1;
    if (left > 0) {
      this.#streams.set(nodeId, left);
      return;
    }
    this.#streams.delete(nodeId);
    if ([...this.#byWatch.keys()].some((watch) => watch.startsWith(`${nodeId}\0`))) this.#away.set(nodeId, now);
    this.#forget(now);
  }

  #forget(now: number): void {
    for (const [nodeId, since] of this.#away) {
      // In the order in which they went.
      if (now - since < NACK_MEMORY_MS) break;
      this.#away.delete(nodeId);
      for (const [watch, resources] of this.#byWatch) {
        if (watch.startsWith(`${nodeId}\0`)) this.#drop(watch, resources);
      }
    }
  }
}
