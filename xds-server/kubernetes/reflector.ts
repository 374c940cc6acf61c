/**
 * A copy of one collection of the API server that keeps itself true: list, then watch from the list's version on, again from the last version when the watch ends, and a new
 * list when the server no longer knows that version. While the server is away the copy stays as it is.
 */
import type { ApiClient, Query } from "./api-client.ts";
import { type ApiError, asApiError } from "./api-error.ts";
import { Collection, type CollectionOptions } from "./collection.ts";
import {
  BACKOFF_BASE_MS,
  BACKOFF_CAP_MS,
  BACKOFF_FLOOR_MS,
  PAGE_SIZE,
  WATCH_MIN_MS,
  WATCH_SHORT_MS,
  WATCH_SLACK_MS,
  WATCH_SPREAD_MS,
} from "./limits.ts";

export interface Timing {
  /** Monotonic, ms. */
  now(): number;
  /** Runs once after so many ms unless the function that is returned is called before. */
  after(ms: number, run: () => void): () => void;
  /** 0 to 1. */
  random(): number;
}

export interface ReflectorOptions<T> extends CollectionOptions<T> {
  readonly client: ApiClient;
  readonly timing: Timing;
  /** Label and field selectors. */
  readonly query?: Query;
  /** Only the metadata of objects is asked for. */
  readonly metadataOnly?: boolean;
  /** Objects per page of a list; fewer where objects are large. */
  readonly pageSize?: number;
  /** The copy is true again, after the first list or a failure (then maybe without a change), or changed. */
  changed(keys: ReadonlySet<string>): void;
  /** A bookmark, about once a minute: the copy is true up to this moment. */
  alive?(): void;
  /** The server does not answer; told at each attempt. The copy stays. */
  failed(error: ApiError): void;
}

const METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #collection: Collection<T>;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  #synced = false;
  #failing = false;
  #attempts = 0;
  #wake: (() => void) | undefined;

  /** Begins at once. */
  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#collection = new Collection(options);
    this.#ended = this.#run();
  }

  /** By `namespace/name`; empty before the first list. */
  get objects(): ReadonlyMap<string, T> {
    return this.#collection.objects;
  }

  /** A whole list has been read. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Resolves when nothing of it is left; it tells nothing from the call on. */
  close(): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    return this.#ended;
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        if (this.#collection.version === undefined) await this.#list();
        await this.#watch();
      } catch (error) {
        if (this.#closed) return;
        await this.#recover(asApiError(error));
      }
    }
  }

  async #list(): Promise<void> {
    const { client, path, query, metadataOnly, pageSize = PAGE_SIZE } = this.#options;
    // Pages of a list that broke off are of another version.
    this.#collection.expire();
    let next: string | undefined;
    do {
      const answer = await client.call("GET", path, {
        query: { ...query, limit: pageSize, continue: next },
        signal: this.#closing.signal,
        ...(metadataOnly && { accept: METADATA_LIST }),
      });
      next = this.#collection.page(answer);
    } while (next !== undefined);
    this.#synced = true;
    this.#failing = false;
    this.#tell();
  }

  async #watch(): Promise<void> {
    const { client, path, query, metadataOnly, timing } = this.#options;
    const lastMs = WATCH_MIN_MS + timing.random() * WATCH_SPREAD_MS;
    let opened = Number.POSITIVE_INFINITY;
    let events = 0;
    let bookmarked = false;
    try {
      await client.watch(path, {
        query: {
          ...query,
          watch: true,
          allowWatchBookmarks: true,
          resourceVersion: this.#collection.version,
          timeoutSeconds: Math.round(lastMs / 1_000),
        },
        signal: this.#closing.signal,
        ...(metadataOnly && { accept: METADATA }),
        maxMs: lastMs + WATCH_SLACK_MS,
        opened: () => {
          opened = timing.now();
          this.#recovered();
        },
        line: (line) => {
          bookmarked = this.#collection.event(line) || bookmarked;
          events++;
        },
        paused: () => {
          this.#flush();
          if (bookmarked && !this.#closed) this.#options.alive?.();
          bookmarked = false;
        },
      });
      if (events === 0 && timing.now() - opened < WATCH_SHORT_MS) await this.#pause(0);
    } finally {
      // A list alone is no success: a watch that breaks at once after each would go round and round. Nor is a question that was not answered, however long that took.
      if (events > 0 || timing.now() - opened >= WATCH_SHORT_MS) this.#attempts = 0;
    }
  }

  async #recover(error: ApiError): Promise<void> {
    // What came before the error in the same chunk.
    this.#flush();
    const known = this.#collection.version !== undefined;
    if (!keepsVersion(error)) this.#collection.expire();
    // A version that is too old asks for a list, and that one's answer counts; after a connection that broke, the next attempt says whether the server is there.
    const harmless = known && (error.expired || (this.#attempts === 0 && error.fault === "unreachable"));
    if (!harmless) {
      this.#failing = true;
      this.#options.failed(error);
    }
    if (!this.#closed) await this.#pause(error.retryAfterMs);
  }

  /** The answer to a watch's question: what is known is true up to this moment. */
  #recovered(): void {
    if (!this.#failing) return;
    this.#failing = false;
    this.#tell();
  }

  #flush(): void {
    const changed = this.#collection.takeChanged();
    if (changed.size > 0 && !this.#closed) this.#options.changed(changed);
  }

  #tell(): void {
    if (!this.#closed) this.#options.changed(this.#collection.takeChanged());
  }

  /** Full jitter: servers whose API server comes back do not ask it in step. */
  #pause(least: number): Promise<void> {
    const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(this.#attempts, 16));
    this.#attempts++;
    const ms = least + Math.max(BACKOFF_FLOOR_MS, this.#options.timing.random() * ceiling);
    return new Promise((resolve) => {
      const cancel = this.#options.timing.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** After anything else a watch may have missed something, or was refused because of its version, whatever the server says; a list is always right. */
function keepsVersion({ fault, status }: ApiError): boolean {
  if (fault === "status") return status === 429 || (status >= 500 && status !== 504);
  return fault === "unreachable" || fault === "timeout" || fault === "credentials";
}
