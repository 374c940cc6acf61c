/**
 * A connection to Redis or Valkey that never makes its callers wait long: a call fails at once without a connection or with too many under way, and after a time when
 * Redis hangs. Nothing is queued for later, and nothing is sent twice.
 */
import type { Writable } from "node:stream";
import type { Cluster, Redis } from "ioredis";
import { ServerError } from "../../errors.ts";
import { StoreError } from "../store-error.ts";
import { driver } from "./driver.ts";

/** What a user of a store may set. */
export type RedisOptions = Omit<RedisConnectionOptions, "maxInFlight"> &
  Partial<Pick<RedisConnectionOptions, "maxInFlight">>;

export interface RedisConnectionOptions {
  /** `redis://user:password@host:port/db`, `rediss://` for TLS. Several, parted by commas, are nodes of a cluster. */
  readonly url: string;
  /** The nodes form a cluster; implied by several URLs. */
  readonly cluster?: boolean;
  /** After this long without an answer a call fails, ms; default 250. */
  readonly timeoutMs?: number;
  /** Calls under way; more fail at once with `busy`. Each user of a connection knows how many his calls may be. */
  readonly maxInFlight: number;
  /** Told when the connection comes and goes, with the reason. */
  readonly onState?: (up: boolean, reason: string) => void;
}

/** A connection that has sent nothing for this long while answers are due is closed and opened again, ms. */
const SILENCE_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 1_000;

export class RedisConnection {
  readonly #client: Redis | Cluster;
  readonly #timeoutMs: number;
  readonly #maxInFlight: number;
  #inFlight = 0;
  /** The connection whose writes wait for the end of this turn. */
  #gathering: Writable | undefined;
  #up = false;

  /** @throws ServerError TM_USAGE for what is no URL of Redis */
  constructor(options: RedisConnectionOptions) {
    const { timeoutMs = 250, maxInFlight, onState = () => {} } = options;
    this.#timeoutMs = timeoutMs;
    this.#maxInFlight = maxInFlight;
    this.#client = connect(options);
    let reason = "";
    const become = (up: boolean) => {
      if (up === this.#up) return;
      this.#up = up;
      onState(up, up ? "" : reason);
    };
    this.#client.on("error", (error: Error) => {
      reason = error.message;
    });
    this.#client.on("ready", () => become(true));
    this.#client.on("close", () => become(false));
    this.#client.on("end", () => become(false));
  }

  get up(): boolean {
    return this.#up;
  }

  /** Calls that Redis has not answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** @param send its commands, all of them sent at once @throws StoreError */
  call<T>(send: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    if (!this.#up) return Promise.reject(new StoreError("unavailable", "the store is not connected"));
    if (this.#inFlight >= this.#maxInFlight)
      return Promise.reject(new StoreError("busy", `${this.#maxInFlight} calls to the store are under way`));
    this.#inFlight++;
    this.#gather();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new StoreError("unavailable", `no answer from the store in ${this.#timeoutMs} ms`)),
        this.#timeoutMs,
      );
      // Counted until Redis has answered, not until the caller has given up: that is what takes memory.
      const end = () => {
        clearTimeout(timer);
        this.#inFlight--;
      };
      send(this.#client).then(
        (answer) => {
          end();
          resolve(answer);
        },
        (error: unknown) => {
          end();
          reject(failure(error));
        },
      );
    });
  }

  /** The nodes that hold keys: one, or those of a cluster as known now. */
  masters(): readonly Redis[] {
    return this.#client instanceof driver().Cluster ? this.#client.nodes("master") : [this.#client];
  }

  close(): void {
    this.#client.disconnect();
  }

  /** What is asked in one turn of the event loop goes out with one write, which costs more than the rest of a call. A cluster has a connection for each node: there every command is written by itself. */
  #gather(): void {
    const stream = this.#client instanceof driver().Redis ? this.#client.stream : undefined;
    if (stream === undefined || stream === this.#gathering) return;
    this.#gathering = stream;
    stream.cork();
    setImmediate(() => {
      this.#gathering = undefined;
      stream.uncork();
    });
  }
}

/** A ReplyError is an answer of Redis; everything else is a connection that broke. */
function failure(error: unknown): StoreError {
  const message = error instanceof Error ? error.message : String(error);
  const answered = error instanceof Error && error.name === "ReplyError";
  const loading = answered && /^(LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|BUSY) /.test(message);
  return new StoreError(answered && !loading ? "failed" : "unavailable", message, { cause: error });
}

/** @throws ServerError TM_USAGE for what is no URL of Redis */
export function connect({ url, cluster }: Pick<RedisConnectionOptions, "url" | "cluster">): Redis | Cluster {
  const urls = url.split(",");
  const parsed = urls.map(parse);
  const { Cluster, Redis } = driver();
  const backoff = (attempt: number) => Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** Math.min(attempt, 8));
  const common = {
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS,
    noDelay: true,
  };
  if (cluster !== true && urls.length === 1) return new Redis(url, { ...common, retryStrategy: backoff });
  const [first] = parsed;
  const redisOptions = {
    ...common,
    ...(first?.username ? { username: decodeURIComponent(first.username) } : {}),
    ...(first?.password ? { password: decodeURIComponent(first.password) } : {}),
    ...(first?.protocol === "rediss:" ? { tls: {} } : {}),
  };
  // retryDelayOnFailover is what would send a command again after its connection broke.
  return new Cluster(urls, {
    clusterRetryStrategy: backoff,
    enableOfflineQueue: false,
    retryDelayOnFailover: 0,
    redisOptions,
  });
}

/** The text of a URL may hold a password: it is in no message. */
function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^rediss?:$/.test(url.protocol) || url.hostname === "")
    throw new ServerError("TM_USAGE", "not a URL of Redis, redis://host:port or rediss://host:port");
  return url;
}
